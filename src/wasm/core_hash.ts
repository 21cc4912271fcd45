// Written by wasm/build.ts.

/** SHA-256 of core.wasm; checkpoints remember it. */
export const CORE_HASH = "87d16c54e4dffea66dfea6bdd7bf6566dacbf06e8aeb90b293a4596e3b09f40a";
