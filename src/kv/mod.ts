// kv: Deno KV.
//
// What lives here: opening a file of Deno KV, its lock, watching its calls, writes of which it is known whether they happened, its damage, what its errors mean, room on its
// disk. The only room that opens Deno KV.
// What may not: what a log or a store keeps in it.
//
// Keys and values go in and come out as they are; only their calls are watched.

export {
  getAll,
  type Kv,
  KV_COMMIT_CHECKS_MAX,
  KV_GET_MANY_MAX,
  KV_VALUE_BYTES_MAX,
  type KvLimits,
  limitsOf,
  readBelow,
  toKv,
} from "./kv.ts";
export type { FileDisk } from "./file_disk.ts";
export { freeBytes } from "./free_bytes.ts";
export { openKvFile, openKvFileToRead, openKvInMemory, unusedBytes } from "./kv_file.ts";
export { OwnedWrites, SoleWrites, UnknownWriteError } from "./marked_writes.ts";
export { KvFileError } from "./kv_file_error.ts";
export {
  type KvFileOptions,
  type KvOpener,
  lookAtFiles,
  MissingFileError,
  moveMachineKv,
  openMachineKv,
  openWatchedKv,
} from "./open_watched.ts";
export { isRemoteKv, KV_TOKEN_VARIABLE, openRemoteKv, placeOfKv, withinKv } from "./remote_kv.ts";
export { HungError, watchKv } from "./watched_kv.ts";
export { isNoRoom, NoRoomError, WriteFailedError } from "./write_errors.ts";
