// Written by wasm/build.ts.

/** SHA-256 of core.wasm; checkpoints remember it. */
export const CORE_HASH = "e35a5ed80f4aec48cbc38d434ba5ef218ea87bcc5259a43700a4e7feedba65f5";
