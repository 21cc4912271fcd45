// A memory cgroup: how a machine with little memory is made.

const ROOT = "/sys/fs/cgroup/memory";

export interface Cgroup {
  /** A process writes its id there to be in it. */
  readonly procs: string;
  /** The most that its processes held together, in bytes. */
  peakBytes(): Promise<number>;
  remove(): Promise<void>;
}

/** Makes a cgroup (version 1) that may hold so many bytes; null where that cannot be done. In CI it must be possible. */
export async function makeCgroup(bytes: number): Promise<Cgroup | null> {
  const folder = `${ROOT}/stockflow-${crypto.randomUUID()}`;
  try {
    await Deno.mkdir(folder);
    await Deno.writeTextFile(`${folder}/memory.limit_in_bytes`, String(bytes));
  } catch (error) {
    await Deno.remove(folder).catch(() => {});
    if (Deno.env.get("CI")) {
      throw new Error("A memory cgroup cannot be made; CI runs as root, with cgroup v1", {
        cause: error,
      });
    }
    return null;
  }
  return {
    procs: `${folder}/cgroup.procs`,
    peakBytes: async () => Number(await Deno.readTextFile(`${folder}/memory.max_usage_in_bytes`)),
    // The kernel may need a moment to see that its processes are gone.
    remove: async () => {
      for (let n = 0; n < 50; n++) {
        if (await Deno.remove(folder).then(() => true, () => false)) return;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },
  };
}
