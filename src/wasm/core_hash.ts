// Written by wasm/build.ts.

/** SHA-256 of core.wasm; checkpoints remember it. */
export const CORE_HASH = "19ce9f42f5c9323137dbfa583b0401818656a7928baccd0d0537916257e7a277";
