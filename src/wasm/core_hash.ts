// Written by wasm/build.ts.

/** SHA-256 of core.wasm; checkpoints remember it. */
export const CORE_HASH = "16a74652ab8ea4f4bf11e34ba420a42f7ae09e1452f7ac4f01a860419402f091";
