// A worker thread whose log is Kafka.

import { serve } from "../engine/threads/thread.ts";
import type { KafkaCalls } from "./kafka_log.ts";
import { systemClock } from "../types/mod.ts";
import { type KafkaThreadFacts, KafkaThreadLog } from "./thread_log.ts";

serve<KafkaCalls>((facts, rpc) => new KafkaThreadLog(facts as KafkaThreadFacts, rpc, systemClock));
