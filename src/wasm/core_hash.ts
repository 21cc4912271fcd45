// Written by wasm/build.ts.

/** SHA-256 of core.wasm; checkpoints remember it. */
export const CORE_HASH = "fc26454383bd820eda96dae22b9d38c8230413e35d557ca1aa1b97f477845a29";
