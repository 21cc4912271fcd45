// A core whose memory is in view: canary bytes stand around the areas that it shares with its host, and
// what a call must not change is compared with a copy.

import {
  Area,
  CHECKSUM_BYTES,
  CONFIG_BYTES,
  DEAD_BYTES,
  DEAD_MAX,
  FINISHED_BYTES,
  FINISHED_MAX,
  LOOKUP_BYTES,
  OUTCOMES_MAX,
  PAGE_BYTES,
  STATE_BYTES,
} from "../../wasm/contract.ts";
import { Buffer } from "node:buffer";
import { Core, type CoreOptions } from "../../src/wasm/mod.ts";
import type { Chance } from "../../src/types/mod.ts";
import type { Exports } from "../../src/wasm/core_types.ts";
import type { FastRandom } from "../../tools/kit/random.ts";

/** Before and behind the areas that the core reads in steps of 16 bytes (wasm/core.ts). */
const PADDING_BYTES = 512;
/** Most records of a batch that a guarded core is given: entries for more than that stay canaries. */
export const GUARDED_RECORDS_MAX = 300;
/** Of what belongs to nobody the part next to the area is guarded. */
const GUARD_BYTES_MAX = 4096;
/** Behind a batch so many bytes of the input area are written anew each time. */
const TAIL_BYTES = 128;

/** What a host's code found changed that the core has no business with. */
export class CanaryError extends Error {
  override readonly name = "CanaryError";
}

interface Guard {
  readonly name: string;
  readonly at: number;
  readonly expected: Uint8Array;
}

type Required<T> = { [K in keyof T]-?: T[K] };
export type GuardedOptions =
  & CoreOptions
  & Required<Pick<CoreOptions, "inputBytes" | "resultBytes" | "summaryBytes">>;

/** Makes a core and hands out what it exports, which it keeps to itself otherwise. */
function openCore(options: CoreOptions, chance: Chance): { core: Core; exports: Exports } {
  const { Instance } = WebAssembly;
  let exports: Exports | null = null;
  WebAssembly.Instance = class extends Instance {
    constructor(module: WebAssembly.Module, imports?: WebAssembly.Imports) {
      super(module, imports);
      exports = this.exports as unknown as Exports;
    }
  };
  try {
    const core = new Core(options, chance);
    return { core, exports: exports! };
  } finally {
    WebAssembly.Instance = Instance;
  }
}

const wholePages = (bytes: number) => Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES;

/** A core with canaries. */
export class GuardedCore {
  readonly core: Core;
  readonly #exports: Exports;
  readonly #guards: Guard[] = [];
  /** The whole input area with its paddings, as it must be: the core only reads it. */
  #input!: { at: number; expected: Uint8Array; bytes: number };
  #memory!: Uint8Array;

  /** @param fill what canaries consist of */
  constructor(
    readonly options: GuardedOptions,
    readonly fill: (bytes: Uint8Array) => void,
    chance: Chance,
  ) {
    const { core, exports } = openCore(options, chance);
    this.core = core;
    this.#exports = exports;
    this.#guardInput(options.inputBytes);
    const address = (area: Area) => exports.address(area) >>> 0;
    // Areas follow each other in whole pages; what their sizes leave of the last page belongs to nobody.
    const results = address(Area.FinishedSummaries) + wholePages(FINISHED_MAX * FINISHED_BYTES);
    const summaries = results + wholePages(options.resultBytes + PADDING_BYTES);
    const dead = summaries + wholePages(options.summaryBytes + PADDING_BYTES);
    if (dead !== address(Area.DeadLetters)) {
      throw new Error("The core's areas are not where the canaries are put");
    }
    this.#guard("results", results + options.resultBytes, summaries);
    this.#guard("summaries", summaries + options.summaryBytes, dead);
    const lookup = address(Area.Lookup);
    this.#guard("look-ups", lookup + LOOKUP_BYTES, lookup + wholePages(LOOKUP_BYTES + 1));
    // Of these areas a batch fills the beginning at the most.
    const upTo = (area: Area, entry: number, entries: number, used: number) =>
      this.#guard(Area[area], address(area) + entry * used, address(area) + entry * entries);
    upTo(Area.DeadLetters, DEAD_BYTES, DEAD_MAX, GUARDED_RECORDS_MAX);
    upTo(Area.Outcomes, 1, OUTCOMES_MAX, GUARDED_RECORDS_MAX);
    upTo(Area.FinishedResults, FINISHED_BYTES, FINISHED_MAX, FINISHED_MAX / 2);
    upTo(Area.FinishedSummaries, FINISHED_BYTES, FINISHED_MAX, FINISHED_MAX / 2);
    this.#guard("configuration", address(Area.Config), address(Area.Config) + CONFIG_BYTES, null);
  }

  /** The core's memory as it is. */
  get memory(): Uint8Array {
    if (this.#memory === undefined || this.#memory.byteLength === 0) {
      this.#memory = new Uint8Array(this.#exports.memory.buffer);
    }
    return this.#memory;
  }

  #guard(name: string, from: number, to: number, fill: typeof this.fill | null = this.fill): void {
    const place = this.memory.subarray(from, Math.min(to, from + GUARD_BYTES_MAX));
    fill?.(place);
    this.#guards.push({ name, at: from, expected: place.slice() });
  }

  #guardInput(bytes: number): void {
    const at = (this.#exports.address(Area.Input) >>> 0) - PADDING_BYTES;
    const length = wholePages(bytes + 2 * PADDING_BYTES);
    const expected = new Uint8Array(length);
    this.fill(expected);
    this.memory.set(expected, at);
    this.#input = { at, expected, bytes };
  }

  /** Prepares the input area for a batch, which begin then copies to its start. */
  expect(batch: Uint8Array): void {
    if (batch.length > this.#input.bytes && this.#exports.reserveInput(batch.length) === 0) {
      this.#guardInput(batch.length);
    }
    if (batch.length > this.#input.bytes) return; // begin is refused, and copies nothing
    const { at, expected } = this.#input;
    expected.set(batch, PADDING_BYTES);
    const end = PADDING_BYTES + batch.length;
    this.fill(expected.subarray(end, end + TAIL_BYTES));
    this.memory.set(expected.subarray(end, end + TAIL_BYTES), at + end);
  }

  /** What check looks at. */
  places(): { name: string; address: number }[] {
    return [{ name: "input", ...this.#input }, ...this.#guards]
      .map(({ name, at }) => ({ name, address: at }));
  }

  /** @throws {CanaryError} when a byte changed that the core must not write */
  check(): void {
    this.#compare({ name: "input", ...this.#input });
    for (const guard of this.#guards) this.#compare(guard);
  }

  #compare({ name, at, expected }: Guard): void {
    const found = this.memory.subarray(at, at + expected.length);
    if (Buffer.compare(found, expected) === 0) return;
    const byte = found.findIndex((b, i) => b !== expected[i]);
    throw new CanaryError(
      `${name}: byte ${byte} of ${expected.length} was ${expected[byte]} and is ${found[byte]}`,
    );
  }

  /** The scalar part of the state, as bytes. */
  state(): Uint8Array {
    const at = this.#exports.address(Area.State) >>> 0;
    return this.memory.slice(at, at + STATE_BYTES);
  }

  /** A copy of the whole memory but for the input area, and for where its CRC is computed. */
  snapshot(): Uint8Array {
    const copy = this.memory.slice();
    copy.fill(0, this.#input.at, this.#input.at + this.#input.expected.length);
    const checksum = this.#exports.address(Area.Checksum) >>> 0;
    copy.fill(0, checksum, checksum + CHECKSUM_BYTES);
    return copy;
  }
}

/** Canaries of noise. */
export function noise(random: FastRandom): (bytes: Uint8Array) => void {
  return (bytes) => {
    for (let i = 0; i < bytes.length; i++) bytes[i] = random.bits();
  };
}

/** Canaries that go on with what a value may consist of: who reads over an end takes them for more of it. */
export function plausible(random: FastRandom): (bytes: Uint8Array) => void {
  const letters = new TextEncoder().encode('0123456789\t\t"}],:-\\{[ \u0000\u0080');
  return (bytes) => {
    for (let i = 0; i < bytes.length; i++) bytes[i] = letters[random.below(letters.length)]!;
  };
}
