// A wall clock that jumps, for processes that are started with it: libfaketime stands between them and the C
// library, and reads by how much their clock is wrong from a file. Durations (the monotonic clock) stay right,
// as they do when a machine's clock is set.

/** Where distributions install it. */
const LIBRARIES = [
  `/usr/lib/${Deno.build.arch}-linux-gnu/faketime/libfaketimeMT.so.1`,
  "/usr/lib64/faketime/libfaketimeMT.so.1",
  "/usr/lib/faketime/libfaketimeMT.so.1",
  "/usr/local/lib/faketime/libfaketimeMT.so.1",
];

/** Seconds after which a process sees a jump, at the latest. */
const SEEN_AFTER_S = 1;

/** Where it keeps memory for each process, which stays when one is killed. */
const MEMORY = "/dev/shm";

function isThere(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

function library(): string | null {
  return LIBRARIES.find(isThere) ?? null;
}

/**
 * Why a clock cannot jump here, or null if it can.
 *
 * @throws {Error} in CI, where nothing may be skipped
 */
export function whyNoJumps(): string | null {
  if (library()) return null;
  const reason = "needs libfaketime (apt-get install faketime)";
  if (Deno.env.get("CI")) throw new Error(`The wall clock ${reason}`);
  return reason;
}

/** The wall clock of the processes that get its environment. */
export class WallClock {
  /** What it is ahead of the machine's, in seconds; negative = behind. */
  ahead = 0;

  private constructor(readonly path: string) {}

  static async open(): Promise<WallClock> {
    const clock = new WallClock(await Deno.makeTempFile({ prefix: "stockflow-clock-" }));
    await clock.set(0);
    return clock;
  }

  get env(): Record<string, string> {
    return {
      LD_PRELOAD: library()!,
      FAKETIME_TIMESTAMP_FILE: this.path,
      FAKETIME_CACHE_DURATION: String(SEEN_AFTER_S),
      FAKETIME_DONT_FAKE_MONOTONIC: "1",
    };
  }

  /** Sets it; processes that run see that as a jump. */
  async set(ahead: number): Promise<void> {
    this.ahead = ahead;
    // At once, so that nobody reads half of it.
    const next = `${this.path}.next`;
    await Deno.writeTextFile(next, `${ahead < 0 ? "" : "+"}${ahead}\n`);
    await Deno.rename(next, this.path);
  }

  /** Removes the file, and what the library left of processes that are gone. */
  async remove(): Promise<void> {
    await Deno.remove(this.path);
    if (!isThere(MEMORY)) return;
    for await (const { name } of Deno.readDir(MEMORY)) {
      const pid = /^(?:sem\.)?faketime_s(?:em|hm)_(\d+)$/.exec(name)?.[1];
      if (pid && !isThere(`/proc/${pid}`)) await Deno.remove(`${MEMORY}/${name}`);
    }
  }
}
