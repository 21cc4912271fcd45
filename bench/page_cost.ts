// What it costs to be watched: CPU of the Kafka job on work b with metrics, hot items, one open page and a scrape of
// /metrics a second, against the same code without any of it, in pairs.
//
//   deno task bench:page:cost [--pairs=10] [--records=20000000]
//
// The other side is a copy of this checkout in a temporary folder, from which the sampling is taken out
// (bench/unwatched.ts). Both are asked for their progress.

import { readOptions } from "./options.ts";
import { copyUnwatched } from "./unwatched.ts";
import { printVerdict } from "./verdicts.ts";

const USAGE = "deno task bench:page:cost [--pairs=10] [--records=20000000]";
/** The most that it may cost: issue 15. */
const RATIO_MAX = 1.03;

const { pairs, records } = readOptions(USAGE, { pairs: 10, records: 20_000_000 });

/** Runs deno task bench:kafka against the copy; prints what it prints, and gives the median of its ratios. */
async function compare(copy: string): Promise<number> {
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-P=tools",
      "bench/kafka.ts",
      "--variant=b",
      `--against=${copy}`,
      "--pages=1",
      "--scrapes=1",
      `--pairs=${pairs}`,
      `--records=${records}`,
    ],
    cwd: new URL("../", import.meta.url),
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  let said = "";
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    said += text;
    await Deno.stdout.write(new TextEncoder().encode(text));
  }
  const { code } = await child.status;
  const median = / pairs, CPU of .* : .* ([\d.]+) \(quarters /.exec(said)?.[1];
  if (code !== 0 || median === undefined) {
    throw new Error(`bench/kafka.ts ended with ${code}, and without a ratio of pairs`);
  }
  return Number(median);
}

const copy = await Deno.makeTempDir({ prefix: "stockflow-unwatched-" });
try {
  await copyUnwatched(copy);
  const ratio = await compare(copy);
  printVerdict(
    ratio <= RATIO_MAX,
    `CPU of being watched ${ratio} of that without, median of ${pairs} pairs (${RATIO_MAX} or less)`,
  );
} finally {
  await Deno.remove(copy, { recursive: true });
}
