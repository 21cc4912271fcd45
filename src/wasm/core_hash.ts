// Written by wasm/build.ts.

/** SHA-256 of core.wasm; checkpoints remember it. */
export const CORE_HASH = "81bb9cb334a76bc524a2ef1d7b5a5f2a01904cba9c004b08cdd2d2a1bebe1541";
