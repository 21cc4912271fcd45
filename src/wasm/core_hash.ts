// Written by wasm/build.ts.

/** SHA-256 of core.wasm; checkpoints remember it. */
export const CORE_HASH = "30e62f346642efd1e096861ee02a56e63c8af688b2a0b2bd884bcfb613138f7e";
