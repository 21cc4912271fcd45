// Written by wasm/build.ts.

/** SHA-256 of core.wasm; checkpoints remember it. */
export const CORE_HASH = "0b437ed5b9580feb71e1cafa01ddd24c2259101dce07e5c82747959e9dd6ef1d";
