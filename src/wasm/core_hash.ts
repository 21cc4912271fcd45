// Written by wasm/build.ts.

/** SHA-256 of core.wasm; checkpoints remember it. */
export const CORE_HASH = "9945cbc4373b5c6f331095b87ff895bf3dddf106e03a02e828c24dda773f15d3";
