// What the figures say of machines that nobody measured: arithmetic, and labelled as such.

import type { Row } from "./figures.ts";
import { short, table } from "./tables.ts";
import { DESCRIPTIONS, type EngineName } from "./works.ts";

const CORES = [8, 32, 64];
/** A record as it is read, and its result as it is written: text of this input, with key and headers of its batch. */
const READ_BYTES = 67;
const WRITTEN_BYTES = 72;
const NETWORK_BITS_PER_SECOND = 10e9;

/** Rates of larger machines from the cost per record; nothing without figures. */
export function largerMachines(
  rows: readonly Row[],
  titles: Readonly<Record<EngineName, string>>,
): string[] {
  const ofKafka = rows.filter(({ work }) => !DESCRIPTIONS[work].generated);
  if (ofKafka.length === 0) return [];
  const bytesOf = ({ work }: Row) =>
    Math.max(READ_BYTES, DESCRIPTIONS[work].results ? WRITTEN_BYTES : 0);
  return [
    "## Larger machines: arithmetic, not measured",
    "Records a second = cores / CPU-seconds per record, as if cost per record stayed what it is here: brokers " +
    "elsewhere, at least as many partitions as cores, no limit but the processor. It does not stay so where many " +
    "cores share one memory. The last columns are limits that come first: a network of 10 Gbit/s (the larger one of " +
    `${READ_BYTES} bytes read and ${WRITTEN_BYTES} written a record, uncompressed), and the cores that the brokers ` +
    "take at 10 M records/s, by what the broker took here.",
    table(
      [
        "work",
        "engine",
        ...CORES.map((cores) => `${cores} cores`),
        "10 Gbit/s carry",
        "broker cores at 10 M/s",
      ],
      ofKafka.map((row) => [
        row.work,
        titles[row.engine],
        ...CORES.map((cores) => `${short(1e6 * cores / row.of.cpu.median)}/s`),
        `${short(NETWORK_BITS_PER_SECOND / 8 / bytesOf(row))}/s`,
        (10 * row.of.brokerCpu.median).toFixed(1),
      ]),
    ),
  ];
}
