// Written by wasm/build.ts.

/** SHA-256 of core.wasm; checkpoints remember it. */
export const CORE_HASH = "a60e0ccb8bd707613d36b63138b01708440026f840de018bb07b9cb7951991f6";
