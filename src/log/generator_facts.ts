import type { GeneratorOptions } from "../wasm/mod.ts";

/** Offsets from which on records come at a rate. */
export interface GeneratorSpan {
  /** First offset by partition. */
  readonly offsets: readonly number[];
  /** When the first record of each partition happened, ms since the epoch. */
  readonly origin: number;
  /** Time from one record of a partition to the next; it decides their timestamps. */
  readonly msPerRecord: number;
  /** Records wait for their time; else they are there at once. */
  readonly paced: boolean;
  /** First offset by partition that is not generated; null = it never ends. */
  readonly ends: readonly number[] | null;
}

/** All that decides a generated log; it can be cloned to another thread. */
export interface GeneratorFacts {
  readonly id: string;
  /** The input topic that is generated. */
  readonly topic: string;
  readonly options: Omit<GeneratorOptions, "partition">;
  /** By rising offsets; at least one. */
  readonly spans: readonly GeneratorSpan[];
}
