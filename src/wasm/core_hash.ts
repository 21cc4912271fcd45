// Written by wasm/build.ts.

/** SHA-256 of core.wasm; checkpoints remember it. */
export const CORE_HASH = "8f9356b359528c3d8e84856c6c4c8bac010bad0cb0fc7efbe10b091c2cdeb511";
