// Written by wasm/build.ts.

/** SHA-256 of core.wasm; checkpoints remember it. */
export const CORE_HASH = "503ab11e8ad829529215cfdec682b562c9782fa2747b5796498e8a0b17a8383f";
