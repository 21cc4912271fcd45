// kv: Deno KV.
//
// What lives here: opening a file of Deno KV, its lock, watching its calls, its damage, and what its errors mean.
// What may not: what a log or a store keeps in it.
//
// Keys and values go in and come out as they are; only their calls are watched.

export {
  type Kv,
  KV_COMMIT_CHECKS_MAX,
  KV_VALUE_BYTES_MAX,
  type KvLimits,
  limitsOf,
  toKv,
} from "./kv.ts";
export type { FileDisk } from "./file_disk.ts";
export {
  KvFileError,
  lookAtKvFile,
  moveKvFile,
  openKvFile,
  openKvFileToRead,
  openKvInMemory,
  unusedBytes,
} from "./kv_file.ts";
export { HungError, watchKv } from "./watched_kv.ts";
export { isNoRoom, NoRoomError, WriteFailedError } from "./write_errors.ts";
