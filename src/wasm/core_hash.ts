// Written by wasm/build.ts.

/** SHA-256 of core.wasm; checkpoints remember it. */
export const CORE_HASH = "a90293166ad168bf4095bf27a25463ade86f26d02f7faadd692ab60d5e23d0f1";
