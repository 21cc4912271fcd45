// Written by wasm/build.ts.

/** SHA-256 of core.wasm; checkpoints remember it. */
export const CORE_HASH = "615d409ee5455ca2531a1523b227d874a4760031c1927e017a5fb6ed67ccec30";
