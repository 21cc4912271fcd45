// Written by wasm/build.ts.

/** SHA-256 of core.wasm; checkpoints remember it. */
export const CORE_HASH = "84db1a8c603eca89fd460d32bb40d40c812ebe982784a2cd93baa4b5713b7998";
