// What the core and its host agree on. Both compilers read this file (AssemblyScript for wasm/,
// TypeScript for src/wasm/), so it holds plain integer constants and enums alone.
//
// All integers in shared memory are little endian, as WebAssembly stores them.

/// <reference types="./assemblyscript.d.ts" />

/**
 * Version of the fold: raised when the same log would give another state or other outputs. The core folds as each of
 * them, because what was committed is folded again as it was; from the committed position on it folds as the newest.
 *   1  a record timestamp may be any up to TIMESTAMP_MAX
 *   2  beyond DATE_MAX it counts as none; transactions can be remembered
 */
export const FOLD_VERSION = 2;

/** Bytes of a page of the core's memory: table pages, window pages and copies for checkpoints. */
export const PAGE_BYTES: usize = 16384;

/** Segments of the item table; fixed, because a checkpoint stores one encoding per segment. */
export const SEGMENTS: u32 = 256;

/** Version of the encoding of a segment that the core writes (checkpoint.ts); it reads all up to it. */
export const SEGMENT_FORMAT = 1;

/** Answer of encodeNext: a slice of a segment was encoded, and some of it is left. */
export const SEGMENT_MORE: u32 = 257;

/** Longest item id in bytes of UTF-8. */
export const ITEM_ID_BYTES_MAX: u32 = 249;

/** Deepest nesting of a JSON value. */
export const JSON_DEPTH_MAX: u32 = 512;

/** Largest event time, 2^53 - 1; fold version 1: largest record timestamp. */
export const TIMESTAMP_MAX = 9007199254740991;

/** Times of dates end there (ECMA-262, 21.4.1.1): a record timestamp beyond it counts as none. */
export const DATE_MAX = 8640000000000000;

/** Bytes of the fixed part of a record batch (magic 2). */
export const BATCH_HEADER_BYTES: u32 = 61;

/** Upper bound of one encoded result or summary; an output batch must hold at least one. */
export const OUTPUT_RECORD_BYTES_MAX: u32 = 1024;

/** What a call of the core answers. Zero and above: go on as the code says. Below zero: the input is refused. */
export enum Code {
  /** The call did all its work. */
  Done = 0,
  /** An output area is full: drain it, then call again. */
  OutputFull = 1,
  /** Windows are due: call fire until Done, then call again. */
  WindowsDue = 2,
  /** Too many pages are copied for the checkpoint being cut: encode segments, then call again. */
  CheckpointFirst = 3,
  /** A bounded piece of work is done and more is left: call again. */
  More = 4,
  /** The next record would add an item, which KNOWN_ITEMS forbids; those before it are folded. */
  StateFull = 5,
  /** The memory limit does not allow another block of records. */
  OutOfMemory = -1,
  /** The batch is shorter than its header, or its length field differs from its length. */
  BatchLength = -2,
  /** The batch is not of magic 2. */
  BatchMagic = -3,
  /** The batch is compressed or a control batch, or sets unknown attribute bits. */
  BatchAttributes = -4,
  /** The CRC32C of the batch differs from the one in its header. */
  BatchCrc = -5,
  /** Base offset, last offset delta and record count do not fit each other. */
  BatchCount = -6,
  /** A record's lengths or offset do not fit its batch; the records before it were folded. */
  Record = -7,
  /** An encoded segment does not follow its format. */
  Segment = -8,
  /** The call is not allowed now (a checkpoint is being cut, or windows are being fired). */
  State = -9,
  /** A configuration value is outside what the core supports. */
  Config = -10,
}

/**
 * Why a record is invalid; 0 means valid. When several hold, syntax comes first, then the fields
 * in the order transaction id, ts, item id, quantity.
 */
export enum Reason {
  /** The record is valid. */
  None = 0,
  /** The record has no value. */
  NullValue = 1,
  /** Not four TAB-separated fields or not one JSON object with the four members; a number that is not canonical. */
  Malformed = 2,
  /** The transaction or query id is outside -2^63..2^63-1. */
  IdRange = 3,
  /** The ts is outside 0..2^53-1. */
  TimestampRange = 4,
  /** The item id has no byte. */
  ItemIdEmpty = 5,
  /** The item id has more than 249 bytes. */
  ItemIdTooLong = 6,
  /** The item id is not well-formed UTF-8, or has a control character (U+0000-001F, U+007F). */
  ItemIdCharacter = 7,
  /** The quantity is outside -2^31..2^31-1. */
  QuantityRange = 8,
  /** The item belongs to another partition. */
  WrongPartition = 9,
  /** Another transaction with this item and transaction id was executed before. */
  IdConflict = 10,
}

/** How the values of transactions, results and summaries are written. */
export enum Format {
  Text = 0,
  Json = 1,
}

/** How the partition of an item is found from its id. */
export enum Partitioner {
  /** Not checked. */
  None = 0,
  /** Kafka's default: murmur2 of the key bytes, & 0x7fffffff. */
  Murmur2 = 1,
  /** java.util.Arrays.hashCode of the key bytes, absolute value (the smallest int counts as 0). */
  JavaHash = 2,
  /** librdkafka's consistent: CRC-32 (IEEE) of the key bytes. */
  Consistent = 3,
  /** Sarama's default, librdkafka's fnv1a: FNV-1a of 32 bits as a signed number, absolute value. */
  Fnv1a = 4,
}

/** Flag of begin: compare the batch's CRC32C. */
export const CHECK_CRC: u32 = 1;
/** Flag of begin: write results and dead letters; without it the batch is folded silently. */
export const EMIT: u32 = 2;
/** Flag of begin: write one outcome byte per record. */
export const OUTCOMES: u32 = 4;
/** Flag of begin: fold again what was committed, below the fired watermark that was committed: nothing is fired. */
export const REPLAY: u32 = 8;
/** Flag of begin: with EMIT, write no results; dead letters and outcomes all the same. */
export const DISCARD_RESULTS: u32 = 16;
/** Flag of begin: stop before the first record that would add an item. */
export const KNOWN_ITEMS: u32 = 32;

/** Outcome byte: the transaction failed. */
export const OUTCOME_REJECTED = 0;
/** Outcome byte: the transaction succeeded. */
export const OUTCOME_ACCEPTED = 1;
/** Outcome byte: this bit beside the outcome, the transaction is a repetition, and the outcome that of the first one. */
export const OUTCOME_DUPLICATE = 2;
/** Outcome byte: this bit and the reason, the record is invalid. */
export const OUTCOME_INVALID = 0x80;

/** Areas of the core's memory that the host reads or writes; address(area) is where each starts. */
export enum Area {
  /** Configuration, CONFIG_BYTES, written by the host before init. */
  Config = 0,
  /** The scalar part of the state, STATE_BYTES: read at checkpoints, written before a restore. */
  State = 1,
  /** Figures that are not state, INFO_BYTES, refreshed by info(). */
  Info = 2,
  /** One input batch. */
  Input = 3,
  /** Entries of finished result batches, FINISHED_BYTES each. */
  FinishedResults = 4,
  /** Entries of finished summary batches, FINISHED_BYTES each. */
  FinishedSummaries = 5,
  /** Dead letters, DEAD_BYTES each. */
  DeadLetters = 6,
  /** Outcome bytes. */
  Outcomes = 7,
  /** Keys of a look-up, then its answers. */
  Lookup = 8,
  /** One encoded segment, in or out. */
  Segment = 9,
  /** Items and their samples. */
  Samples = 10,
  /** Where a CRC is computed, CHECKSUM_BYTES: means nothing between two calls. */
  Checksum = 11,
}

/** Bytes of Area.Checksum. */
export const CHECKSUM_BYTES: usize = 49152;

// Config: offsets.
export const CONFIG_INPUT_BYTES: usize = 0; // u32: first size of the input area
export const CONFIG_RESULT_BYTES: usize = 4; // u32: size of the result area
export const CONFIG_SUMMARY_BYTES: usize = 8; // u32: size of the summary area
export const CONFIG_BATCH_BYTES_MAX: usize = 12; // u32: largest output batch
export const CONFIG_FORMAT: usize = 16; // u32: Format
export const CONFIG_PARTITIONER: usize = 20; // u32: Partitioner
export const CONFIG_PARTITION: usize = 24; // u32: this partition
export const CONFIG_PARTITIONS: usize = 28; // u32: partitions of the input topic
export const CONFIG_EVENT_TIME: usize = 32; // u32: 1 = event time, 0 = processing time
export const CONFIG_COPY_PAGES_MAX: usize = 36; // u32: pages copied for one checkpoint at the most
export const CONFIG_MEMORY_PAGES_MAX: usize = 40; // u32: limit of the memory in pages of 64 KiB
export const CONFIG_WINDOW_MS: usize = 48; // i64: window length, 0 = no summaries
export const CONFIG_OUT_OF_ORDER_MS: usize = 56; // i64: watermark.out.of.orderness.ms
export const CONFIG_MAX_AHEAD_MS: usize = 64; // i64: event.time.max.ahead.ms
export const CONFIG_ALERT_TOTAL_MIN: usize = 72; // i64: transaction.num.min
export const CONFIG_ALERT_RATE_MIN: usize = 80; // f64: transaction.failure.rate.min
export const CONFIG_SECRET: usize = 88; // 16 bytes by chance, new for each instance: where items stand
export const CONFIG_REMEMBERED_MAX: usize = 104; // u32: transactions that are remembered at the most
export const CONFIG_FOLD_VERSION: usize = 108; // u32: as which version it folds, 0 = the newest
export const CONFIG_REMEMBER_MS: usize = 112; // i64: how long they are remembered, 0 = not at all
export const CONFIG_LOG_SECRET: usize = 120; // 16 bytes that belong to the log: how they are remembered
export const CONFIG_BYTES: usize = 136;

// State: offsets. "None" of a time is the smallest i64.
export const STATE_POSITION: usize = 0; // i64: next offset to fold
export const STATE_WATERMARK: usize = 8; // i64: fired watermark
export const STATE_LARGEST_TS: usize = 16; // i64: largest event time that was not far ahead
export const STATE_LARGEST_TIMESTAMP: usize = 24; // i64: largest record timestamp
export const STATE_ACCEPTED: usize = 32; // u64: transactions that succeeded
export const STATE_REJECTED: usize = 40; // u64: transactions that failed
export const STATE_LATE: usize = 48; // u64: transactions too late for their window
export const STATE_FAR_AHEAD: usize = 56; // u64: transactions too far ahead of their record
export const STATE_QUANTITY_SUM: usize = 64; // i64: sum of the accepted quantities, modulo 2^64
export const STATE_ITEMS: usize = 72; // u64: items seen
export const STATE_INVALID: usize = 80; // u64 x 16: invalid records by reason
export const REASONS_MAX: u32 = 16;
export const STATE_BYTES: usize = 208;

// Info: offsets, all u64.
export const INFO_TABLE_BYTES: usize = 0; // pages of the item table in use
export const INFO_WINDOW_BYTES: usize = 8; // pages of open windows in use
export const INFO_KEY_BYTES: usize = 16; // bytes of keys that do not fit into a key code
export const INFO_FREE_BYTES: usize = 24; // pages given back and not yet reused
export const INFO_COPY_BYTES: usize = 32; // pages copied for the checkpoint being cut
export const INFO_MEMORY_BYTES: usize = 40; // the whole memory
export const INFO_SLOTS: usize = 48; // slots in use: items seen, and unseen ones with an open window
export const INFO_OPEN_WINDOWS: usize = 56; // windows that are open
export const INFO_ACCUMULATORS: usize = 64; // accumulators of open windows
export const INFO_GROWTHS: usize = 72; // times a segment grew
export const INFO_WINDOWS_FIRED: usize = 80; // windows fired since init
export const INFO_SUMMARIES_FIRED: usize = 88; // summaries fired since init, before the alert filter
export const INFO_ALERTS: usize = 96; // summaries written since init
export const INFO_NEWEST_WINDOW_END: usize = 104; // end of the newest open window in ms, 0 = none open
export const INFO_PREFIXES: usize = 112; // prefixes in the dictionary
export const INFO_REMEMBERED: usize = 120; // transactions that are remembered
export const INFO_REMEMBERED_BYTES: usize = 128; // pages of them and of their index
export const INFO_DUPLICATES: usize = 136; // transactions that were repetitions
export const INFO_REMEMBERED_SINCE: usize = 144; // i64: clock of the oldest piece of them, smallest i64 = none
export const INFO_REMEMBERED_CLOCK: usize = 152; // i64: clock now, smallest i64 = none
export const INFO_IMPOSSIBLE_TIMESTAMPS: usize = 160; // record timestamps beyond DATE_MAX since init, replays left out
export const INFO_BYTES: usize = 168;

// A finished output batch: where it is, and how many records it has.
export const FINISHED_ADDRESS: usize = 0; // u32
export const FINISHED_LENGTH: usize = 4; // u32
export const FINISHED_RECORDS: usize = 8; // u32
export const FINISHED_BYTES: usize = 12;
export const FINISHED_MAX: u32 = 4096;

// A dead letter: where the record is in the input area (from its length varint on), and why.
export const DEAD_ADDRESS: usize = 0; // u32
export const DEAD_LENGTH: usize = 4; // u32
export const DEAD_REASON: usize = 8; // u32: Reason
export const DEAD_OFFSET: usize = 16; // i64: offset in the topic
export const DEAD_TIMESTAMP: usize = 24; // i64: record timestamp
export const DEAD_BYTES: usize = 32;
export const DEAD_MAX: u32 = 2048;

/** Outcome bytes that fit before the area is full. */
export const OUTCOMES_MAX: u32 = 65536;

// Samples of an item: their number f32, 4 bytes of the core's own, length u8, then the item id; a multiple of 16 bytes. One
// folded record in SAMPLE_EVERY is sampled on average. No part of the state.
export const SAMPLE_EVERY: u32 = 64;
export const SAMPLE_LENGTH: usize = 8;
export const SAMPLE_ID: usize = 9;
/** Items whose samples are counted at a time, and bytes of them. */
export const SAMPLES_MAX: u32 = 2048;
export const SAMPLES_BYTES: usize = 65536;

// A look-up: per key u32 length and the bytes, together padded to 8; answers: i64 stock, smallest i64 = unseen.
export const LOOKUP_BYTES: usize = 65536;

// ---- the generator, a module of its own (generator.ts) ----

/** Most items that a generator draws from. */
export const GENERATOR_ITEMS_MAX: u32 = 100000000;

/** Most records in one generated batch. */
export const GENERATOR_RECORDS_MAX: u32 = 4096;

// Generator's configuration: offsets.
export const GENERATOR_SEED: usize = 0; // u64
export const GENERATOR_SHAPE: usize = 8; // f64: shape of the Pareto distribution
export const GENERATOR_ITEMS: usize = 16; // u32: items of all partitions
export const GENERATOR_FORMAT: usize = 20; // u32: Format
export const GENERATOR_PARTITIONER: usize = 24; // u32: Partitioner
export const GENERATOR_PARTITION: usize = 28; // u32: this partition
export const GENERATOR_PARTITIONS: usize = 32; // u32: partitions of the topic
export const GENERATOR_BYTES: usize = 40;
