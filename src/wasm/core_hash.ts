// Written by wasm/build.ts.

/** SHA-256 of core.wasm; checkpoints remember it. */
export const CORE_HASH = "5ac7d34485acd7ef41578e948d9a20ea06d49e4383d6baf475b6eae3a80918dc";
