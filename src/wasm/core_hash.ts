// Written by wasm/build.ts.

/** SHA-256 of core.wasm; checkpoints remember it. */
export const CORE_HASH = "673df6272a1d8cdb71d9ced32cf3f3b5793520324769ca38ab891432a31a7dd8";
