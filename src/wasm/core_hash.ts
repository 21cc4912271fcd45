// Written by wasm/build.ts.

/** SHA-256 of core.wasm; checkpoints remember it. */
export const CORE_HASH = "a4c604d5a89b37224b33eb86baa144723fa2f5db46f0e53de5ac6543b44eda0e";
