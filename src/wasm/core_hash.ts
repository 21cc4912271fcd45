// Written by wasm/build.ts.

/** SHA-256 of core.wasm; checkpoints remember it. */
export const CORE_HASH = "2e8c842548ae37e497a24a5a144c5a1f215b5fee96b69f6a86f231d6d06c9644";
