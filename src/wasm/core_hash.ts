// Written by wasm/build.ts.

/** SHA-256 of core.wasm; checkpoints remember it. */
export const CORE_HASH = "75f488d80fb9cad20df2e8849d71e0ef7918f6b747b4a7a8b7824f5e31159338";
