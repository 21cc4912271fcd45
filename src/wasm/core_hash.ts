// Written by wasm/build.ts.

/** SHA-256 of core.wasm; checkpoints remember it. */
export const CORE_HASH = "b39ccdf6899f1ccc72562728c9fe052b834d3d3b9265b94e72b308506749a17d";
