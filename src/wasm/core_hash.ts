// Written by wasm/build.ts.

/** SHA-256 of core.wasm; checkpoints remember it. */
export const CORE_HASH = "d165253a1cdd01cc7cb667e264ca65c545cdb119fc01b7e9f7de72032985d79f";
