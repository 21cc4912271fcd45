import type { MakeKafka } from "../kafka_port.ts";
import { KafkaWorld } from "./kafka_world.ts";

/** Puts the real src/kafka on simulated brokers. */
export const makeKafka: MakeKafka = (...args) => new KafkaWorld(...args);
