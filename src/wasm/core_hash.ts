// Written by wasm/build.ts.

/** SHA-256 of core.wasm; checkpoints remember it. */
export const CORE_HASH = "aec93bdcccf1d9718a6e4ad00ef6229caa72bedeb57a6e2f72a172c6f1238175";
