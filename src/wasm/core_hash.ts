// Written by wasm/build.ts.

/** SHA-256 of core.wasm; checkpoints remember it. */
export const CORE_HASH = "d10d16de3735e2bb6b9599e57154e298ab9128d6dd6c92486d65ebf8fefabc85";
