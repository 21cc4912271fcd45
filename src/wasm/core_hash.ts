// Written by wasm/build.ts.

/** SHA-256 of core.wasm; checkpoints remember it. */
export const CORE_HASH = "71442e313087ba2a1ca6c075719177c0212cb8773ddc9a627b16f275c94ec9d8";
