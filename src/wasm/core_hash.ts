// Written by wasm/build.ts.

/** SHA-256 of core.wasm; checkpoints remember it. */
export const CORE_HASH = "bc36e0620df521a63257dbe82db765a84cf7f67f3fcd55d0f9e362733e6188df";
