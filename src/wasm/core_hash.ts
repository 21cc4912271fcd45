// Written by wasm/build.ts.

/** SHA-256 of core.wasm; checkpoints remember it. */
export const CORE_HASH = "8a40e19ff21b9558897bdc41c4d06a267390379a555a4be7b99b3719c7b9f50b";
