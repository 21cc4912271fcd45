// Written by wasm/build.ts.

/** SHA-256 of core.wasm; checkpoints remember it. */
export const CORE_HASH = "c17a115863e495e44d1563f25fafaef49d8c99d5fb44e2f72ec959c10bbda3a6";
