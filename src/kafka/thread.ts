// A worker thread whose log is Kafka.

import { serve } from "../engine/threads/thread.ts";
import { systemClock } from "../types/mod.ts";
import { type KafkaThreadFacts, KafkaThreadLog } from "./thread_log.ts";

serve((facts, rpc) => new KafkaThreadLog(facts as KafkaThreadFacts, rpc, systemClock));
