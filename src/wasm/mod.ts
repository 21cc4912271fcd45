// wasm: the host side of the core.
//
// What lives here: the built core (core.wasm; its source is the folder wasm/ beside src/), one
// instance per partition, views of its memory, the batch contract, warm-up. The only room that
// touches WebAssembly.
// What may not: logs, checkpoints' storage, clocks.
//
// Record batches go in by Core.fold's loop (begin, run, take what is finished) and come out as copies:
// no view of the core's memory leaves this room, because growing the memory detaches it.

export * from "./buffer_pool.ts";
export * from "./core_instance.ts";
export type {
  CoreInfo,
  CoreOptions,
  DeadLetter,
  FoldOptions,
  Output,
  OutputBatch,
  RememberOptions,
} from "./core_types.ts";
export type { EncodedPiece, EncodedRemembered } from "./core_remembered.ts";
export * from "./state_scalars.ts";
export { CORE_HASH } from "./core_hash.ts";
export * from "./generator_instance.ts";
export { warmUp, warmUpInSteps } from "./warm_up.ts";
