// Written by wasm/build.ts.

/** SHA-256 of core.wasm; checkpoints remember it. */
export const CORE_HASH = "9371d96e75c356446647e6907175ce93e386741fcb81da30ca7490370302cde3";
