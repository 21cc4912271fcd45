// Figures of another process, as Linux reports them (proc(5)).

/** Ticks a second in /proc/<pid>/stat: USER_HZ, which is 100 on every Linux that Deno runs on. */
const TICKS_PER_SECOND = 100;
/** Index of utime among the fields behind the command's name. */
const UTIME = 11;

/** CPU time of a process so far, all its threads together, in seconds. */
export async function cpuSeconds(pid: number): Promise<number> {
  const stat = await Deno.readTextFile(`/proc/${pid}/stat`);
  // The name is in parentheses and may hold anything.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[UTIME]) + Number(fields[UTIME + 1])) / TICKS_PER_SECOND;
}

/** The same of each of its threads that are there now, by their numbers, with their names. */
export async function threadSeconds(pid: number): Promise<Map<number, readonly [string, number]>> {
  const threads = new Map<number, readonly [string, number]>();
  for await (const { name } of Deno.readDir(`/proc/${pid}/task`)) {
    const stat = await Deno.readTextFile(`/proc/${pid}/task/${name}/stat`).catch(() => null);
    if (stat === null) continue; // it may have ended meanwhile
    const end = stat.lastIndexOf(")");
    const fields = stat.slice(end + 2).split(" ");
    const seconds = (Number(fields[UTIME]) + Number(fields[UTIME + 1])) / TICKS_PER_SECOND;
    threads.set(Number(name), [stat.slice(stat.indexOf("(") + 1, end), seconds]);
  }
  return threads;
}

/** How long threads of a process could have run and found no core free so far, all together, in seconds. */
async function waitedSeconds(pid: number): Promise<number> {
  let nanoseconds = 0;
  for await (const { name } of Deno.readDir(`/proc/${pid}/task`)) {
    const text = await Deno.readTextFile(`/proc/${pid}/task/${name}/schedstat`).catch(() => "");
    nanoseconds += Number(text.split(" ")[1] ?? 0); // a thread may have ended meanwhile
  }
  return nanoseconds / 1e9;
}

/** Resident memory of a process in bytes. */
export function residentBytes(pid: number): Promise<number> {
  return memoryOf(pid, "VmRSS");
}

/** The most resident memory that a process has had so far, in bytes. */
export function peakResidentBytes(pid: number): Promise<number> {
  return memoryOf(pid, "VmHWM");
}

async function memoryOf(pid: number, field: string): Promise<number> {
  const status = await Deno.readTextFile(`/proc/${pid}/status`);
  return 1024 * Number(new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(status)![1]);
}

/** What processes take of the processors from a moment on. */
export class CpuMeter<K extends string> {
  private constructor(
    readonly pids: Readonly<Record<K, number>>,
    readonly from: number,
    readonly before: ReadonlyMap<string, number>,
    readonly waitedBefore: ReadonlyMap<string, number>,
  ) {}

  /** @param pids processes by name */
  static async start<K extends string>(pids: Readonly<Record<K, number>>): Promise<CpuMeter<K>> {
    const from = performance.now();
    return new CpuMeter(
      pids,
      from,
      await eachOf(pids, cpuSeconds),
      await eachOf(pids, waitedSeconds),
    );
  }

  /** Use since the start, in percent of one core, by name. */
  percent(): Promise<Record<K, number>> {
    return this.#since(this.before, cpuSeconds);
  }

  /**
   * How long threads could have run and found no core free, since the start, in percent of the time and all threads of a
   * process together, by name.
   */
  waited(): Promise<Record<K, number>> {
    return this.#since(this.waitedBefore, waitedSeconds);
  }

  async #since(
    before: ReadonlyMap<string, number>,
    secondsOf: (pid: number) => Promise<number>,
  ): Promise<Record<K, number>> {
    const seconds = (performance.now() - this.from) / 1000;
    const shares = [...await eachOf(this.pids, secondsOf)].map(([name, now]) =>
      [name, 100 * (now - before.get(name)!) / seconds] as const
    );
    return Object.fromEntries(shares) as Record<K, number>;
  }
}

async function eachOf(
  pids: Readonly<Record<string, number>>,
  of: (pid: number) => Promise<number>,
): Promise<Map<string, number>> {
  const entries = Object.entries(pids).map(async ([name, pid]) => [name, await of(pid)] as const);
  return new Map(await Promise.all(entries));
}
