import { getLogger } from "@logtape/logtape";
import type { LogOpener, LogUser, Restoration } from "../log/mod.ts";
import { type ConditionReporter, Waits } from "../engine/mod.ts";
import { checkDifferent, foldParametersFor, type ProcessLife, threadsMax } from "../service/mod.ts";
import {
  formatOf,
  ParameterError,
  type Parameters,
  queryCommitIntervalMs,
} from "../parameters/mod.ts";
import { isRemoteKv } from "../kv/mod.ts";
import { StopError } from "../log/mod.ts";
import { earlierVersionOf, foldParametersHash, type PartitionerName } from "../state/mod.ts";
import { type Clock, codecOf, systemChance } from "../types/mod.ts";
import { askLife } from "./ask_life.ts";
import { errorCodeOf, isUnavailable, reasonOf, stopErrorOf } from "./client/errors.ts";
import { checkInternals, InternalsError } from "./client/internals.ts";
import { type ConnectionOptions, KafkaClient } from "./client/kafka_client.ts";
import { fetchCommitted } from "./committed_offsets.ts";
import { partitionerByHash, partitionerOf } from "./find_partitioner.ts";
import { firstItems } from "./first_items.ts";
import { claimMethods, KafkaLog, logIdOf, outputsOfPartitions } from "./kafka_log.ts";
import { checkWholeLog } from "./sharing/whole_log.ts";
import type { SharedFacts } from "./member_facts.ts";
import { lockOwnFolder, memberIdsOf } from "./member_ids.ts";
import { connectionOf } from "./security.ts";
import { THREAD_ENTRY } from "./thread_entry.ts";
import type { KafkaThreadFacts } from "./thread_log.ts";
import { checkRights } from "./rights.ts";
import {
  checkNames,
  createTopics,
  NEW_TOPIC_PARTITIONS,
  outputsOf,
  SETTING_OF,
  topicNames,
  untilLed,
} from "./topics.ts";
import type { WiredTopics } from "../service/mod.ts";
import { limitsOf, warningsOf } from "./output_limits.ts";
import { partitionNumbers } from "./partition_numbers.ts";
import { checkView, type Look, lookAt, type TopicsView } from "./topics_view.ts";

const log = getLogger(["stockflow", "kafka"]);

/** Largest output batch: the core's output area holds several. */
const BATCH_BYTES_MAX = 256 * 1024;
/** What the wait for brokers that are not there at the start is called. */
const KAFKA = "kafka";
/** The same while a topic has no records that show its partitioner, and how often it is looked. */
const PARTITIONER = "partitioner";
const NO_RECORDS_MS = 1000;
const BACK_OFF_FIRST_MS = 200;
const BACK_OFF_MAX_MS = 5000;
/** Fetches in a commit interval, where each brings little: results become visible by commits, so nobody sees more. */
const PACES = 10;
/** How often --check asks brokers that answer, and do not know yet. */
const LOOKS_MAX = 20;
const LOOK_WAIT_MS = 500;

/** There is nothing yet by which the partitioner can be known. */
class NoRecordsError extends Error {
  constructor(topic: string) {
    super(`${topic} has no record yet that shows the partitioner (transaction.partitioner=auto)`);
  }
}

/** A transaction is open from one commit to the end of the next. */
function checkTimes(params: Parameters): void {
  const timeoutMs = params.get("kafka.transaction.timeout.ms");
  for (const name of ["commit.interval.ms", "query.commit.interval.ms"] as const) {
    const intervalMs = params.get(name);
    if (timeoutMs >= 2 * intervalMs) continue;
    throw new ParameterError(
      `kafka.transaction.timeout.ms=${timeoutMs} must be at least twice ${name}=${intervalMs}: ` +
        "the broker aborts a transaction that is open for longer",
    );
  }
}

/** The topics that parameters name. */
export function parameterTopics(params: Parameters): WiredTopics {
  return {
    transactions: params.get("transaction.input.topic"),
    queries: params.get("query.input.topic"),
    results: params.get("transaction.output.topic") || null,
    queryResults: params.get("query.output.topic"),
    summaries: params.get("summary.output.topic") || null,
    deadLetters: params.get("deadletter.topic") || null,
  };
}

/** The log of a Kafka job; streams of transactions and of queries share it. */
export class KafkaLogOpener implements LogOpener<KafkaLog> {
  #log: KafkaLog | null = null;
  /** Kept as long as this process uses it. */
  #ownFolder: Deno.FsFile | null = null;

  /**
   * @param life this process, whose address others are given
   * @param topics of the job; those that parameters name by default
   */
  constructor(
    readonly params: Parameters,
    readonly clock: Clock,
    readonly life: ProcessLife,
    readonly conditions: ConditionReporter,
    readonly topics: WiredTopics = parameterTopics(params),
  ) {}

  /**
   * Connects, waiting without end for brokers that are not there, checks the topics, joins the group.
   *
   * @throws {StopError} when topics are missing or unfit
   */
  async open(user: LogUser, restoration: Restoration | null): Promise<KafkaLog> {
    if (restoration) throw new Error("A savepoint cannot be restored into Kafka's log");
    const { params, clock } = this;
    const { groupId, connection, topics } = this.checkParameters();
    this.#ownFolder ??= await lockOwnFolder(params.get("state.dir"));
    const { clusterId, view, batchBytesMax, partitioner } = await this.#look(
      connection,
      topics,
      user,
    );
    const known = partitioner ? params.with({ "transaction.partitioner": partitioner }) : params;
    const facts = {
      connection,
      groupId,
      transactionTimeoutMs: params.get("kafka.transaction.timeout.ms"),
      topics: topicNames(topics),
      compression: params.get("kafka.compression.type"),
      inputBatchBytesMax: params.get("input.batch.bytes.max"),
      paceMs: params.get("commit.interval.ms") / PACES,
      queryPaceMs: queryCommitIntervalMs(params) / PACES,
    };
    const opened = new KafkaLog({
      facts,
      clusterId,
      topics,
      view,
      sessionTimeoutMs: params.get("kafka.session.timeout.ms"),
      discoveryMs: params.get("kafka.partition.discovery.interval.ms"),
      memberIds: memberIdsOf(params, `${clusterId} ${groupId}`),
      shared: sharedFacts(known, topics, view),
      life: this.life,
      ask: askLife,
      clock,
      conditions: this.conditions,
      retries: params.get("kafka.retries"),
      acceptOffset: params.get("accept.offset"),
      batchBytesMax,
      partitioner,
      user,
      shares: params.get("kafka.partitions.shared")
        ? {
          workers: threadsMax(params, view.topics[topics.transactions]!.partitions),
          chance: systemChance,
        }
        : null,
    });
    this.#log = opened;
    const threadFacts: KafkaThreadFacts = {
      id: opened.id,
      topicId: opened.topicId,
      view,
      deadLetters: topics.deadLetters,
      outputs: outputsOfPartitions(topics),
      session: facts,
    };
    opened.threads = {
      entry: THREAD_ENTRY,
      facts: threadFacts,
      methods: claimMethods(opened),
    };
    return opened;
  }

  /**
   * Looks once at what a start would look at: parameters, brokers, topics, their settings and rights. Joins no
   * group, and creates, writes and commits nothing.
   *
   * @returns what was found, in a sentence
   * @throws {ParameterError}
   * @throws {StopError} when the job would not start
   */
  async lookOnce(): Promise<string> {
    const { groupId, connection, topics } = this.checkParameters();
    for (let attempt = 1;; attempt++) {
      try {
        return await this.#lookAround(connection, topics, groupId);
      } catch (error) {
        const stop = stopErrorOf(error);
        if (stop || !isUnavailable(error)) throw stop ?? error;
        // Brokers that have just started say for some seconds that they do not know yet.
        if (errorCodeOf(error) === null || attempt === LOOKS_MAX) {
          throw new StopError(
            `Kafka at ${connection.brokers.join(",")} does not answer: ${reasonOf(error)}`,
            "see kafka.bootstrap.servers and whether the brokers run; a start would wait for them",
            { cause: error },
          );
        }
        await this.clock.sleep(LOOK_WAIT_MS);
      }
    }
  }

  async #lookAround(
    connection: ConnectionOptions,
    topics: WiredTopics,
    groupId: string,
  ): Promise<string> {
    const client = new KafkaClient(connection, this.clock);
    try {
      await client.connect();
      const look = await lookAt(client, topics);
      const { view, missing } = look;
      if (!this.params.get("kafka.create.topics")) checkNames(topics, missing);
      if (!missing.includes(topics.transactions)) {
        checkView(topics, view, view, groupId);
        await this.#checkWholeLog(client, topics, view);
      }
      this.#report(topics, look);
      await checkRights(client, topics, groupId);
      const created = missing.length > 0 ? `; a start would create ${missing.join(", ")}` : "";
      return `Kafka at ${
        connection.brokers.join(",")
      } answers; topics, their settings and the rights of the user ` +
        `are as they must be${created}`;
    } finally {
      await client.close().catch(() => {});
    }
  }

  /** Where partitions go from process to process, each log must be there from its start. */
  async #checkWholeLog(client: KafkaClient, { transactions }: WiredTopics, view: TopicsView) {
    const { params, clock } = this;
    // Whoever gets a partition has its checkpoints where they are shared, too.
    if (!params.get("kafka.partitions.shared") || isRemoteKv(params.get("state.kv"))) return;
    await checkWholeLog(client, clock, params.get("kafka.group.id"), transactions, view);
  }

  /** What can be said before brokers are asked. @throws {ParameterError} */
  checkParameters() {
    const { params, topics } = this;
    const groupId = params.get("kafka.group.id");
    if (groupId === "") throw new ParameterError("kafka.group.id is missing: a group's name");
    checkTimes(params);
    const connection = connectionOf(params);
    checkDifferent(topics, (role) => SETTING_OF[role]);
    try {
      checkInternals();
    } catch (error) {
      if (!(error instanceof InternalsError)) throw error;
      throw new StopError(error.message, "deno.json and deno.lock pin the version: restore them");
    }
    return { groupId, connection, topics };
  }

  /** It is not created by the job: no savepoint can begin it. */
  existing(): Promise<null> {
    return Promise.resolve(null);
  }

  moveAway(): Promise<null> {
    return Promise.resolve(null);
  }

  async close(): Promise<void> {
    const log = this.#log;
    this.#log = null;
    await log?.close();
    this.#ownFolder?.close();
    this.#ownFolder = null;
  }

  /** Looks at cluster and topics once they can be seen. */
  async #look(connection: ConnectionOptions, topics: WiredTopics, user: LogUser) {
    const waits = new Waits(this.conditions, this.clock);
    for (let failures = 0;; failures++) {
      const client = new KafkaClient(connection, this.clock, waits);
      try {
        await client.connect();
        const found = await this.#check(client, topics);
        await this.#checkWholeLog(client, topics, found.view);
        const isAuto = this.params.get("transaction.partitioner") === "auto";
        const partitioner = isAuto
          ? await this.#findPartitioner(client, topics.transactions, found.view, user)
          : null;
        if (isAuto && !partitioner) throw new NoRecordsError(topics.transactions);
        waits.allOver();
        return { ...found, partitioner };
      } catch (error) {
        if (error instanceof NoRecordsError) {
          waits.over(KAFKA);
          waits.failed(PARTITIONER, PARTITIONER, { reason: error.message, blocks: "lookups" });
          await this.clock.sleep(NO_RECORDS_MS);
          continue;
        }
        const stop = stopErrorOf(error);
        if (stop || !isUnavailable(error)) throw stop ?? error;
        const brokers = connection.brokers.join(",");
        waits.failed(KAFKA, KAFKA, {
          reason: `Kafka at ${brokers} does not answer: ${reasonOf(error)}`,
          blocks: "lookups",
        });
        await this.clock.sleep(Math.min(BACK_OFF_MAX_MS, BACK_OFF_FIRST_MS * 2 ** failures));
      } finally {
        void client.close().catch(() => {});
      }
    }
  }

  /** For transaction.partitioner=auto: what was found before, else what the first records show; null: no records. */
  async #findPartitioner(client: KafkaClient, topic: string, view: TopicsView, user: LogUser) {
    const { params, clock } = this;
    const { id, partitions } = view.topics[topic]!;
    const before = await user.partitionerOf(logIdOf(client.clusterId, topic));
    if (before) return before;
    const groupId = params.get("kafka.group.id");
    const numbers = partitionNumbers(partitions);
    const committed = await fetchCommitted(client, clock, {
      groupId,
      topics: [{ topic, partitions: numbers }],
      view,
      isQueries: () => false,
    });
    const entries = [...committed.get(topic)?.values() ?? []];
    const hashes = new Set(entries.map(({ position }) => position.parametersHash));
    const hashesOf = (name: PartitionerName) => {
      const fold = foldParametersFor(params.with({ "transaction.partitioner": name }), partitions);
      const earlier = earlierVersionOf(fold);
      return [fold, ...earlier ? [earlier] : []].map(foldParametersHash);
    };
    const folded = partitionerByHash(hashes, hashesOf);
    if (folded) return folded;
    const items = await firstItems(client, { name: topic, id }, partitions, {
      codec: codecOf(formatOf(params)),
      batchBytesMax: params.get("input.batch.bytes.max"),
    });
    const found = partitionerOf(items, partitions, topic);
    if (found) {
      log.info("transaction.partitioner=auto: {found}, by the first {count} records", {
        found,
        count: items.length,
      });
    }
    return found;
  }

  async #check(client: KafkaClient, topics: WiredTopics) {
    const names = topicNames(topics);
    if (this.params.get("kafka.create.topics")) {
      const missing = names.filter((name) => !client.topics.has(name));
      if (missing.length > 0) {
        const partitions = client.topics.get(topics.transactions) ?? NEW_TOPIC_PARTITIONS;
        const replicas = this.params.get("kafka.replication.factor");
        await createTopics(client, missing, { partitions, replicas });
        await client.refresh();
        await untilLed(client, names);
      }
    }
    const look = await lookAt(client, topics);
    const { view, missing } = look;
    checkNames(topics, missing);
    this.#report(topics, look);
    // Dead letters are cut to what their topic takes when they are written.
    const batches = outputsOf({ ...topics, deadLetters: null }).map((o) =>
      view.limits[o]!.batchBytes
    );
    const batchBytesMax = Math.min(BATCH_BYTES_MAX, ...batches);
    return { clusterId: client.clusterId, view, batchBytesMax };
  }

  /** Says what is not known of the topics that there are, and which outputs will not take every record as it is. */
  #report(topics: WiredTopics, { view: { topics: there, limits }, settings }: Look): void {
    const hidden = Object.keys(there).filter((name) => !settings.has(name));
    if (hidden.length > 0) {
      log.warn(
        "The settings of {topics} are not checked: the job's user has no right to see them " +
          "(DescribeConfigs). Inputs must not be compacted; outputs must take timestamps of any age",
        { topics: hidden.join(", ") },
      );
    }
    const inputs: Record<string, readonly string[]> = {
      [topics.queryResults ?? ""]: [topics.queries],
      [topics.deadLetters ?? ""]: [topics.transactions, topics.queries],
    };
    for (const [topic, own] of Object.entries(limits)) {
      const of = (inputs[topic] ?? [topics.transactions]).map((t) => limitsOf(settings.get(t)));
      for (const warning of warningsOf(topic, own, of, topic === topics.deadLetters)) {
        log.warn("{warning}", { warning });
      }
    }
  }
}

/** What members of a group must share, so that each can take over from the others. */
function sharedFacts(params: Parameters, topics: WiredTopics, view: TopicsView): SharedFacts {
  const fold = foldParametersFor(params, view.topics[topics.transactions]!.partitions);
  return {
    ...Object.fromEntries(
      Object.entries(topics).map(([role, topic]) => [
        SETTING_OF[role as keyof WiredTopics],
        topic ?? "",
      ]),
    ),
    ...Object.fromEntries(Object.entries(fold).map(([name, value]) => [name, String(value)])),
  };
}
