// Written by wasm/build.ts.

/** SHA-256 of core.wasm; checkpoints remember it. */
export const CORE_HASH = "fa215e99b5a1d5ae52925c6e3f11cd474579d9c5efca28575af5f405f12e9be4";
