/** Name of the file that holds the pid of a broker. */
export const PID_FILE = "broker.pid";

/** The pid of the broker of a folder, if it runs. */
export async function brokerOf(folder: string): Promise<number | null> {
  try {
    const pid = Number(await Deno.readTextFile(`${folder}/${PID_FILE}`));
    // The pid may have gone to another program since.
    const command = await Deno.readTextFile(`/proc/${pid}/cmdline`);
    return command.includes("kafka.Kafka") ? pid : null;
  } catch {
    return null;
  }
}

/** Asks a broker to stop, and waits for its end. */
export async function stopBroker(pid: number): Promise<void> {
  Deno.kill(pid, "SIGTERM");
  await whenEnded(pid);
}

/** Resolves when there is no such process any more; a zombie counts as none. */
export async function whenEnded(pid: number): Promise<void> {
  while (true) {
    try {
      const stat = await Deno.readTextFile(`/proc/${pid}/stat`);
      if (stat.slice(stat.lastIndexOf(")") + 2).startsWith("Z")) return;
    } catch {
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
