// Written by wasm/build.ts.

/** SHA-256 of core.wasm; checkpoints remember it. */
export const CORE_HASH = "73c7af1e23c3ca2c1ce4f1f065f8e1d9df5f379c81416a7094280d4ce4d9adba";
