// types: the records that go in and out, and how they are written.
//
// What lives here: ItemTransaction, Query, ItemInfo, the results and the summary; their text and JSON
// codecs; record batches; partitioners; the interfaces of time and chance. Plain values, pure functions.
// What may not: I/O, the core, Deno KV. Nothing here imports another room (the numbers of
// wasm/contract.ts apart).
//
// The core has readers and writers of its own for the same formats; the tests hold both against each
// other.

export * from "./records.ts";
export * from "./invalid_record.ts";
export * from "./format.ts";
export { parseQueryTextBytes, parseTransactionTextBytes } from "./text_format.ts";
export { showQueryResult } from "./console_format.ts";
export * from "./partitioner.ts";
export * from "./record_batch.ts";
export { type Chance, type Clock, randomId, systemChance, systemClock } from "./clock.ts";
export { machineTracing } from "./machine_tracing.ts";
export * from "./tracing.ts";
export { escapeAllControls, escapeControls } from "./controls.ts";
export { withAny } from "./abort_signals.ts";
export { Deadlines } from "./deadlines.ts";
export { SHARED_TURN_MS, untilTurn } from "./shared_turns.ts";
export { StopError } from "./stop_error.ts";
export { retry, type RetryOptions } from "./retry.ts";
export { Slices, Turns } from "./slices.ts";
export { assertThat, BrokenPromiseError } from "./assertions.ts";
export { crc32c } from "./crc32c.ts";
export { decodeUtf8, encodeUtf8, isSameBytes, showUtf8 } from "./utf8.ts";
export {
  checkIsFile,
  knownTrouble,
  NotAFileError,
  type PathTrouble,
  pathTrouble,
} from "./path_errors.ts";
