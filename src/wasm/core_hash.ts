// Written by wasm/build.ts.

/** SHA-256 of core.wasm; checkpoints remember it. */
export const CORE_HASH = "9227df42df9f08d2106018caa64e8f99f6d5f6793e20fc53c4f7a9f743d7e7f1";
