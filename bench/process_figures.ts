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

/** CPU that processes use from a moment on. */
export class CpuMeter<K extends string> {
  private constructor(
    readonly pids: Readonly<Record<K, number>>,
    readonly from: number,
    readonly before: ReadonlyMap<string, number>,
  ) {}

  /** @param pids processes by name */
  static async start<K extends string>(pids: Readonly<Record<K, number>>): Promise<CpuMeter<K>> {
    return new CpuMeter(pids, performance.now(), await secondsOf(pids));
  }

  /** Use since the start, in percent of one core, by name. */
  async percent(): Promise<Record<K, number>> {
    const seconds = (performance.now() - this.from) / 1000;
    const used = [...await secondsOf(this.pids)].map(([name, cpu]) =>
      [name, 100 * (cpu - this.before.get(name)!) / seconds] as const
    );
    return Object.fromEntries(used) as Record<K, number>;
  }
}

async function secondsOf(pids: Readonly<Record<string, number>>): Promise<Map<string, number>> {
  const entries = Object.entries(pids).map(async ([name, pid]) =>
    [name, await cpuSeconds(pid)] as const
  );
  return new Map(await Promise.all(entries));
}
