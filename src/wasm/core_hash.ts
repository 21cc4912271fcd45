// Written by wasm/build.ts.

/** SHA-256 of core.wasm; checkpoints remember it. */
export const CORE_HASH = "f18c0f36f8dba5cb502da3804de75f836dd40d9b7c19c17c5ab679f2f08b3fcd";
