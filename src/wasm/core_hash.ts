// Written by wasm/build.ts.

/** SHA-256 of core.wasm; checkpoints remember it. */
export const CORE_HASH = "00d9ba359ff7481815937749959cf771f7a7948ef87d04579e802f3adf972cdc";
