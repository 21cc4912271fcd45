// Where and when the figures were measured.

import { run } from "../../tools/kafka/libraries.ts";

/** What is known of where something was measured. */
export interface Measured {
  /** When it began, as in 2026-11-27T09:00Z. */
  readonly at: string;
  /** Older measurements do not have it. */
  readonly machine?: string;
}

/** When and where the measurements of a part were made; a sentence for each machine. */
export function measuredOn(all: readonly Measured[]): string {
  const machines = [...new Set(all.map(({ machine }) => machine))];
  return machines.map((machine) => {
    const times = all.filter((m) => m.machine === machine).map(({ at }) => at).sort();
    const [from, to] = [times[0]!, times.at(-1)!];
    const when = from === to ? `at ${from}` : `from ${from} to ${to}`;
    return `Measured ${when} on ${machine ?? "a machine whose description was not kept"}.`;
  }).join(" ");
}

/** This machine, in one line. */
export async function machineOf(): Promise<string> {
  const cpu = /^model name\s*:\s*(.+)$/m.exec(await Deno.readTextFile("/proc/cpuinfo"))?.[1] ?? "?";
  const memory = /^MemTotal:\s*(\d+) kB/m.exec(await Deno.readTextFile("/proc/meminfo"))![1];
  const java = /version "([^"]+)"/.exec(await run("java", ["-version"]))?.[1] ?? "?";
  const virtual = (await Deno.readTextFile("/proc/cpuinfo")).includes(" hypervisor");
  return `${navigator.hardwareConcurrency} cores of ${cpu}${virtual ? " (virtual)" : ""}, ` +
    `${Math.round(Number(memory) / 2 ** 20)} GiB, Linux ${/^[\d.]+/.exec(Deno.osRelease())}, ` +
    `Deno ${Deno.version.deno}, Java ${java}`;
}
