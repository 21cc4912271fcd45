// Written by wasm/build.ts.

/** SHA-256 of core.wasm; checkpoints remember it. */
export const CORE_HASH = "b70cfe3eff41fd9d7d7a377ce60f259d6c478b0ec04f55c42e4ba3f3fda1e091";
