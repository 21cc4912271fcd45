// state: checkpoints, and how they are kept.
//
// What lives here: manifests, chunks, epochs, retention, savepoints, history, export and import of
// checkpoints, all in Deno KV; the hash of the fold parameters.
// What may not: the fold itself, logs' contents, decisions when to take a checkpoint (src/engine).
//
// Encoded segments come in from the core, compressed chunks go to the KV; at a restore the other way
// round. What is damaged is recognised by its hash.

export * from "./fold_parameters.ts";
export { type PartitionerName, PARTITIONERS } from "../types/mod.ts";
export {
  type BatchMark,
  DamagedCheckpointError,
  type Manifest,
  sha256,
  stateHash,
} from "./manifest.ts";
export {
  CheckpointStore,
  type CheckpointStoreOptions,
  FencedError,
  jobsIn,
  type ListedCheckpoint,
  type StoreEpoch,
} from "./checkpoint_store.ts";
export {
  CheckpointGoneError,
  isSavepointName,
  pinnedBy,
  type Savepoint,
  SAVEPOINT_NAME_RULE,
  SavepointExistsError,
  type SavepointPartition,
} from "./savepoints.ts";
export type { Savepoints } from "./savepoints.ts";
export { CheckpointChain, type CheckpointDraft, type CheckpointFacts } from "./checkpoint_chain.ts";
export { isEmptySegment } from "./segment_index.ts";
export { type CheckpointParts, chunksOfParts, indexChunksOf } from "./checkpoint_parts.ts";
export type { CheckpointEvent, CheckpointTrigger } from "./checkpoint_event.ts";
export { type Backup, backupOf } from "./backup.ts";
export { exportCheckpoints, type Exported, importCheckpoints, withPinned } from "./transfer.ts";
