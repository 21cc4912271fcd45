// Written by wasm/build.ts.

/** SHA-256 of core.wasm; checkpoints remember it. */
export const CORE_HASH = "d3f8494a07324d2c66100757d887a31eea2d4b05de272a5a257394207757f472";
