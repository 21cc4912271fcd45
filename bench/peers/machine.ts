// Where the figures come from: a line for the results.

import { run } from "../../tools/kafka/libraries.ts";

export async function machineOf(): Promise<string> {
  const cpu = /^model name\s*:\s*(.+)$/m.exec(await Deno.readTextFile("/proc/cpuinfo"))?.[1] ?? "?";
  const memory = /^MemTotal:\s*(\d+) kB/m.exec(await Deno.readTextFile("/proc/meminfo"))![1];
  const java = /version "([^"]+)"/.exec(await run("java", ["-version"]))?.[1] ?? "?";
  const virtual = (await Deno.readTextFile("/proc/cpuinfo")).includes(" hypervisor");
  return `${navigator.hardwareConcurrency} cores of ${cpu}${virtual ? " (virtual)" : ""}, ` +
    `${Math.round(Number(memory) / 2 ** 20)} GiB, Linux ${/^[\d.]+/.exec(Deno.osRelease())}, ` +
    `Deno ${Deno.version.deno}, Java ${java}`;
}
