// Written by wasm/build.ts.

/** SHA-256 of core.wasm; checkpoints remember it. */
export const CORE_HASH = "954d8ac506846afa13afdc83089bd6a029ea692b70c9ac2127487e99d0ece1a6";
