// Written by wasm/build.ts.

/** SHA-256 of core.wasm; checkpoints remember it. */
export const CORE_HASH = "52ef39ae4b5c4e51d288e5badf90ac18ece7df23526bccfedbfed7d4a8cf5a62";
