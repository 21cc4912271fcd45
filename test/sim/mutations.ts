// One-line bugs in the sources of the engine, of src/kafka and of the core: mutants.ts applies each to a
// copy, and the simulator must find it. A text that does not occur exactly once fails the mutant.

export interface Mutation {
  readonly bug: string;
  readonly file: string;
  readonly find: string;
  readonly replace: string;
  /** Whether it needs runs on the real src/kafka. */
  readonly kafka?: boolean;
}

export const MUTATIONS: readonly Mutation[] = [
  // ---- sinks in the process ----
  {
    bug: "a sink's offset moves before its call has taken the values",
    file: "src/service/sink_worker.ts",
    find: "    const answer = sink.accept(values, { partition, offset, signal });\n",
    replace: "    this.#advance(progress, offset + values.length);\n" +
      "    const answer = sink.accept(values, { partition, offset, signal });\n",
  },
  {
    bug: "a call of a sink that failed is not made again",
    file: "src/service/sink_worker.ts",
    find: "        await clock.sleep(wait * (0.5 + chance()), signal);\n",
    replace: "        await clock.sleep(wait * (0.5 + chance()), signal);\n        return;\n",
  },
  {
    bug: "a stop drops what a sink was not given, and keeps its end",
    file: "src/log/embedded_consumer.ts",
    find: "committed.set(key[3] as number, value);",
    replace:
      "committed.set(key[3] as number, Math.max(value, log.bounds(topic, key[3] as number).end));",
  },
  // ---- the engine ----
  {
    bug: "a commit that is not known to have happened counts as done",
    file: "src/engine/fold_and_commit.ts",
    find: 'if (outcome !== "committed") throw',
    replace: 'if (outcome === "fenced" as never) throw',
  },
  {
    bug: "outputs that were committed stay pending, and are committed twice",
    file: "src/engine/partition_processor.ts",
    find: "    this.#pending = empty();\n",
    replace: "",
  },
  {
    bug: "outputs are dropped when a partition is recovered",
    file: "src/engine/recover.ts",
    find: "  const { processor, claimed: { committed } } = partition;\n",
    replace: "  const { processor, claimed } = partition;\n" +
      "  const committed = { ...claimed.committed, offset: Math.max(processor.position, claimed.logEnd) };\n",
  },
  {
    bug: "the first dead letter of a batch is lost",
    file: "src/engine/partition_processor.ts",
    find: "for (const letter of output.deadLetters) {",
    replace: "for (const letter of output.deadLetters.slice(1)) {",
  },
  {
    bug: "a commit is taken in the middle of a batch",
    file: "src/engine/partition_processor.ts",
    find: "    if (this.#busy) return null;\n",
    replace: "",
  },
  {
    bug: "a partition that stands still for memory goes on behind the batch",
    file: "src/engine/fold_and_commit.ts",
    find: "if (stopped || signal.aborted) break;",
    replace: "if (signal.aborted) break;",
  },
  {
    bug: "a batch that is only looked at counts as the one folded last",
    file: "src/engine/partition_processor.ts",
    find: "if (folded > 0) {",
    replace: "if (folded >= 0) {",
  },
  {
    bug: "a checkpoint names the position behind its encoding, not that of its cut",
    file: "src/engine/checkpoint.ts",
    find: "      scalars,\n      lastBatch,\n",
    replace: "      scalars: processor.core.state,\n      lastBatch,\n",
  },
  {
    bug: "a firing does not wait for the checkpoint that is being cut",
    file: "src/engine/cut_wait.ts",
    find: "while (this.#isActive) await this.#nextPiece();",
    replace: "",
  },
  {
    bug: "a checkpoint waits for the commit of its offset, not of its watermark",
    file: "src/engine/checkpoint.ts",
    find: "acknowledged.offset >= offset && acknowledged.watermark >= watermark",
    replace: "acknowledged.offset >= offset",
  },
  {
    bug: "retiring a checkpoint removes chunks that the newer ones need",
    file: "src/state/checkpoint_chain.ts",
    find: "!kept.some((needed) => needed.has(hash))",
    replace: "!kept.slice(1).some((needed) => needed.has(hash))",
  },
  {
    bug: "a manifest is not compared with its hash",
    file: "src/state/manifest.ts",
    find: "sha256(json) !== expected",
    replace: "expected.length !== 2 * HASH_BYTES",
  },
  {
    bug: "outputs too large for one write of the log's file are left out",
    file: "src/log/log_writer.ts",
    find: "if (tooLarge && !await this.#stage(draft, group)) return",
    replace: "if (false) return",
  },
  // ---- safe retries, and versions of the fold ----
  {
    bug: "retry: a rejected transaction is remembered as accepted",
    file: "wasm/remembered.ts",
    find: "append(id, item | <u64> succeeded, checkOf",
    replace: "append(id, item | 1, checkOf",
  },
  {
    bug: "retry: the quantity of a repetition is not compared",
    file: "wasm/remembered_keys.ts",
    find: "(<u64> quantity & 0xffffffff) * load<u64>(checkKeys, 24)) >> 32",
    replace: "(<u64> quantity & 0) * load<u64>(checkKeys, 24)) >> 32",
  },
  {
    bug: "retry: what is folded again is not remembered",
    file: "wasm/fold.ts",
    find: "if (remembers) remember(r, place, quantity, succeeded);",
    replace: "if (remembers && !replay) remember(r, place, quantity, succeeded);",
  },
  {
    bug: "retry: a repetition is remembered anew",
    file: "wasm/fold.ts",
    find: "  store<u32>(r, OUTCOME_DUPLICATE | seen, SUCCEEDED);\n",
    replace: "  store<u32>(r, OUTCOME_DUPLICATE | seen, SUCCEEDED);\n" +
      "  remember(r, place, load<i64>(r, QUANTITY), seen != 0);\n",
  },
  {
    bug: "retry: the last piece of a checkpoint is not taken anew",
    file: "src/state/checkpoint_chain.ts",
    find: "    this.#pieces.set(piece, {",
    replace: "    if (!this.base.pieces.has(piece)) this.#pieces.set(piece, {",
  },
  {
    bug: "retry: the index is not built when a checkpoint is restored",
    file: "wasm/remembered_index.ts",
    find: "  movingEnd = head;\n  return true;\n",
    replace: "  movingEnd = moving;\n  return true;\n",
  },
  {
    bug: "retry: a repetition moves the stock",
    file: "wasm/fold.ts",
    find: "if (!isNewRecord(place) && repeats(r, place)) return;",
    replace: "if (!isNewRecord(place) && repeats(r, place)) {\n" +
      "      const seen = load<u32>(r, SUCCEEDED);\n" +
      "      if (slot && seen == (OUTCOME_DUPLICATE | 1)) {\n" +
      "        setStock(slot, stockOf(slot) + load<i64>(r, QUANTITY));\n      }\n" +
      "      return;\n    }",
  },
  {
    bug: "retry: an entry of the index takes the place of one that is remembered",
    file: "wasm/remembered_index.ts",
    find: "if (freeLanes) put(p, freeLanes, entry);",
    replace: "if (freeLanes) put(p, 1, entry);",
  },
  {
    bug: "raise: what was committed is folded again by the newest version of the fold",
    file: "src/engine/recover.ts",
    find: "    await replayTo(raisedAtOf(recovering));\n",
    replace: "",
  },
  {
    bug: "raise: a checkpoint does not say where the newest version began",
    file: "src/engine/held_state.ts",
    find: "processor.raisedAt = manifest.raisedAt ?? null;",
    replace: "processor.raisedAt = null;",
  },
  // ---- partitions that are assigned and revoked ----
  {
    bug: "move: a partition that comes back to a living producer begins at sequence number 0",
    file: "src/engine/held_state.ts",
    find: "const next = output ? await session.nextSequence(output.topic, output.partition) : 0;",
    replace: "const next = output ? 0 : 1;",
    kafka: true,
  },
  {
    bug: "move: a partition is released while its last commit is on its way",
    file: "src/engine/partition.ts",
    find: "return processor.standsAt(processor.acknowledged);",
    replace: "return processor.pendingBytes === 0;",
  },
  {
    bug: "move: what was folded is not committed before a partition is released",
    file: "src/engine/partition.ts",
    find: "return processor.standsAt(processor.acknowledged);",
    replace: "return processor.atRest;",
  },
  {
    bug: "move: folding goes on while the last commit is made",
    file: "src/engine/worker.ts",
    find: "    await folding.get(partition);\n",
    replace: "",
  },
  // ---- Kafka ----
  {
    bug: "Kafka: a transaction is ended although an output was refused",
    file: "src/kafka/transactional_producer.ts",
    find: "if (failed) throw refusalOf(failed);",
    replace: "",
    kafka: true,
  },
  {
    bug: "Kafka: a transaction that failed counts as committed",
    file: "src/kafka/kafka_session.ts",
    find: "return this.#lost(this.#over ?? this.#jobError(error));",
    replace: 'return "committed";',
    kafka: true,
  },
  {
    bug: "Kafka: offsets of transactions under way are not waited for",
    file: "src/kafka/protocol/offsets.ts",
    find: "return w.int8(requireStable ? 1 : 0).noTags().encoded();",
    replace: "return w.int8(0).noTags().encoded();",
    kafka: true,
  },
  {
    bug: "Kafka: records of aborted transactions are read",
    file: "src/kafka/batches.ts",
    find: "attributes & TRANSACTIONAL && aborting.size > 0 &&",
    replace: "0 &&",
    kafka: true,
  },
  {
    bug: "Kafka: the marker that ends an aborted transaction is overlooked",
    file: "src/kafka/batches.ts",
    find: "if (isMarker && markerOf(bytes) === ABORT_MARKER) {",
    replace: "if (false) {",
    kafka: true,
  },
  {
    bug: "Kafka: what was fetched before a jump is kept",
    file: "src/kafka/fetcher.ts",
    find: "if (asked.buffer.jumps !== asked.jumps) continue;",
    replace: "",
    kafka: true,
  },
  {
    bug: "Kafka: a process that is active no more answers questions",
    file: "src/kafka/membership.ts",
    find:
      "return this.#active !== null && clock.monotonic() - this.#acknowledgedAt < sessionTimeoutMs;",
    replace: "return clock.monotonic() >= 0 && sessionTimeoutMs > 0;",
    kafka: true,
  },
  {
    bug: "Kafka: the next transaction uses the sequence numbers of the one before",
    file: "src/kafka/transactional_producer.ts",
    find: "this.#sequences.set(key, sequenceBehind(sequenceOf(batch), recordsOf(batch)));",
    replace: "",
    kafka: true,
  },
  {
    bug: "an instance is kept without a look at where the next claim stands",
    file: "src/engine/partition_processor.ts",
    find: "return !this.#busy && folded && known && same;",
    replace: "return !this.#busy;",
    kafka: true,
  },
  {
    bug: "a checkpoint that ends behind its claim does not wait for its commit",
    file: "src/engine/checkpoint.ts",
    find: "      signal.throwIfAborted();\n      await this.#commits.wait(signal);\n",
    replace: "      if (signal.aborted) return;\n      await this.#commits.wait(signal);\n",
    kafka: true,
  },
  {
    bug: "a kept instance's next checkpoint does not wait for the one that ends behind its claim",
    file: "src/engine/checkpoint.ts",
    find: "    const done = this.#turn.then(work).catch((error) => {\n",
    replace: "    const done = work().catch((error) => {\n",
    kafka: true,
  },
  {
    bug: "a recovery that was left goes on behind its claim",
    file: "src/engine/turns.ts",
    find: "  if (signal.aborted) throw givenUp();\n",
    replace: "",
    kafka: true,
  },
  {
    bug: "Kafka: the first offsets of a group are those of the log's end",
    file: "src/kafka/take_over.ts",
    find: '[transactions, "earliest"]',
    replace: '[transactions, "latest"]',
    kafka: true,
  },
  {
    bug: "Kafka: a log whose leader hides what was committed counts as one that ends before",
    file: "src/kafka/claimed_partitions.ts",
    find: "if (look > 0 && look % HIDDEN_LOOKS === 0) {",
    replace: "if (look < 0) {",
    kafka: true,
  },
  {
    bug: "Kafka: a partition that was left out of a claim is never claimed",
    file: "src/kafka/kafka_session.ts",
    find: 'this.#claimable.abort("a leader is there");',
    replace: "",
    kafka: true,
  },
  {
    bug: "Kafka topics: an offset that was committed of another topic of the name is gone on from",
    file: "src/kafka/committed_offsets.ts",
    find: "if (was !== null && is !== null && was !== is) {",
    replace: "if (was === is && was !== is) {",
    kafka: true,
  },
  {
    bug: "Kafka topics: the id of the topic of queries is not compared with the one that was read",
    file: "src/kafka/query_topic.ts",
    find: "if (before !== id) {",
    replace: "if (before === null) {",
    kafka: true,
  },
  {
    bug: "Kafka topics: the last batch is not compared",
    file: "src/kafka/log_identity.ts",
    find: "if (found.baseOffset === baseOffset && found.crc === crc) {",
    replace: "if (found.baseOffset === baseOffset || found.crc === crc) {",
    kafka: true,
  },
  {
    bug:
      "Kafka topics: a log that ends before what was read of it is taken for one that retention has shortened",
    file: "src/kafka/log_identity.ts",
    find: "if (logStart > baseOffset) return;",
    replace: "if (logStart >= 0) return;",
    kafka: true,
  },
  {
    bug: "Kafka topics: a fetch names no epoch of its leader",
    file: "src/kafka/fetcher.ts",
    find: "leaderEpoch: this.#epochOf(buffer.partition),",
    replace: "leaderEpoch: NO_EPOCH,",
    kafka: true,
  },
  {
    bug: "Kafka topics: what the claim knows of a log is not compared behind a failure",
    file: "src/kafka/fetcher.ts",
    find: "if (last) this.#highest.set(partition, last);",
    replace: "",
    kafka: true,
  },
  {
    bug: "Kafka outputs: what was refused goes out as it was",
    file: "src/kafka/output_form.ts",
    find:
      "if (batches.every((batch) => this.#isFit(topic, batch, limits, window))) return batches;",
    replace: "if (batches.length >= 0) return batches;",
    kafka: true,
  },
  {
    bug: "Kafka outputs: a record is lost when its batch is split",
    file: "src/kafka/output_form.ts",
    find: "const parts = splitIntoBatches(records, limits.batchBytes);",
    replace: "const parts = splitIntoBatches(records.slice(0, Math.max(1, records.length - 1)), " +
      "limits.batchBytes);",
    kafka: true,
  },
  {
    bug: "Kafka outputs: parts of a batch have its sequence number",
    file: "src/kafka/output_form.ts",
    find: "sequence = sequenceBehind(sequence, recordsOf(part));",
    replace: "",
    kafka: true,
  },
  {
    bug: "Kafka outputs: a timestamp that was moved is not marked",
    file: "src/kafka/output_form.ts",
    find: "timestamp: moved, headers: [...headers, original] }",
    replace: "timestamp: moved, headers: original ? headers : [] }",
    kafka: true,
  },
  // ---- the core ----
  {
    bug: "core: a purchase of all that is left is refused",
    file: "wasm/rule.ts",
    find: "select(after, rejection, after >= 0)",
    replace: "select(after, rejection, after > 0 || (quantity >= 0 && after == 0))",
  },
  {
    bug: "core: a window is fired one record late",
    file: "wasm/time.ts",
    find: "return logWatermark() >= oldestEnd;",
    replace: "return logWatermark() > oldestEnd;",
  },
  {
    bug: "core: a transaction on the edge of its window is late too late",
    file: "wasm/time.ts",
    find: "if (lastEnd <= logWatermark || lastEnd <= watermark()) {",
    replace: "if (lastEnd < logWatermark || lastEnd < watermark()) {",
  },
  {
    bug: "core: the late check is reversed",
    file: "wasm/time.ts",
    find: "if (lastEnd <= logWatermark || lastEnd <= watermark()) {",
    replace: "if (lastEnd > logWatermark && lastEnd > watermark()) {",
  },
  {
    bug: "core: a changed segment is not marked",
    file: "wasm/fold.ts",
    find: "markChanged(segmentOf(hash), succeeded | (window != 0));",
    replace: "markChanged(segmentOf(hash), window != 0);",
  },
  {
    bug: "core: a segment whose windows alone changed is not marked",
    file: "wasm/fold.ts",
    find: "markChanged(segmentOf(hash), succeeded | (window != 0));",
    replace: "markChanged(segmentOf(hash), succeeded);",
  },
  {
    bug: "core: what a checkpoint being cut still needs is overwritten",
    file: "wasm/fold.ts",
    find: "if (succeeded & cutActive) preserveSlot(<u32> (hash >> 56), slot);\n",
    replace: "",
  },
  {
    bug: "core: windows are not cut at the record that makes them due",
    file: "wasm/fold.ts",
    find: "windowsDue() && r + RECORD_BYTES < end",
    replace: "windowsDue() && r + 2 * RECORD_BYTES < end",
  },
];
