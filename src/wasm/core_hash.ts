// Written by wasm/build.ts.

/** SHA-256 of core.wasm; checkpoints remember it. */
export const CORE_HASH = "17aa49bee83d1eec3eb2596e67f0358fa5d2e5f374aa39f1e6a9983c43cb0ade";
