import { z } from "zod";
import { encodeUtf8 } from "../types/mod.ts";
import { NO_TIME } from "../wasm/mod.ts";

// What each field of a manifest may be. Its hash shows that it is as it was written, not who wrote it: a file that
// is imported may come from anywhere.

const INT64_MAX = 2n ** 63n - 1n;
/** More than any topic of Kafka has. */
const PARTITIONS_MAX = 1_000_000;
const TEXT_BYTES_MAX = 1000;
const STRAYS_MAX = 1000;

const hash = z.string().regex(/^[0-9a-f]{64}$/);
const text = z.string().refine((s) => encodeUtf8(s).length <= TEXT_BYTES_MAX);
const count = z.int().min(0);
const offset = z.bigint().min(0n).max(BigInt(Number.MAX_SAFE_INTEGER));
const counter = z.bigint().min(0n).max(INT64_MAX);
const int64 = z.bigint().min(NO_TIME).max(INT64_MAX);

const scalars = z.strictObject({
  position: offset,
  watermark: int64,
  largestTs: int64,
  largestTimestamp: int64,
  accepted: counter,
  rejected: counter,
  late: counter,
  farAhead: counter,
  quantitySum: int64,
  items: z.bigint().min(0n).max(2n ** 32n),
  invalid: z.array(counter).max(16),
});

const parameters = z.strictObject({
  foldVersion: count,
  format: z.enum(["text", "json"]),
  partitioner: z.enum(["none", "murmur2", "java-hash", "consistent", "fnv1a"]),
  partitions: z.int().min(1).max(PARTITIONS_MAX),
  windowMs: count,
  eventTime: z.boolean(),
  outOfOrderMs: count,
  maxAheadMs: count,
  rememberMs: count,
  rememberedMax: count,
});

const remembered = z.strictObject({
  secret: z.string().regex(/^[0-9a-f]{32}$/),
  header: z.string().regex(/^([0-9a-f]{2}){4,40}$/),
  index: z.array(hash),
});

/** All but the format, which is looked at before. */
export const manifestSchema = z.strictObject({
  format: count,
  job: text,
  partition: z.int().min(0).max(PARTITIONS_MAX),
  sequence: z.int().min(1),
  logId: text,
  topicId: text.nullable().exactOptional(),
  start: count.nullable(),
  scalars,
  lastBatch: z.strictObject({ baseOffset: count, crc: count }).nullable(),
  strays: z.array(count).max(STRAYS_MAX).exactOptional(),
  parameters,
  raisedAt: count.exactOptional(),
  duplicatesBefore: count.exactOptional(),
  remembered: remembered.exactOptional(),
  stateHash: hash,
  coreHash: hash,
  index: z.array(hash),
  cutAt: count,
  publishedAt: count,
  newBytes: count,
  totalBytes: count,
});
