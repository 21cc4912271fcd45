// cluster: who has which partitions, asked of any process that shares them.

import type { ClusterAnswer } from "../http/cluster.ts";
import { StopError } from "../log/mod.ts";
import { decodeUtf8, shorten } from "../types/mod.ts";

/**
 * The lines for people.
 *
 * @param address host:port of a process's HTTP API
 * @param token its http.token; empty = it has none
 * @throws {StopError} when it does not answer, or shares no partitions
 */
export async function clusterLines(address: string, token: string): Promise<string[]> {
  const headers = new Headers(token === "" ? {} : { authorization: `Bearer ${token}` });
  let status: number;
  let text: string;
  try {
    const response = await fetch(`http://${address}/cluster`, { headers });
    status = response.status;
    text = decodeUtf8(await response.bytes()) ?? "";
  } catch (error) {
    throw new StopError(
      `${address} does not answer: ${(error as Error).message}`,
      "give the address of a process that runs: --http=<host:port>",
      { cause: error },
    );
  }
  if (status !== 200) {
    throw new StopError(
      `${address} answers ${status}: ${shorten(messageIn(text))}`,
      status === 401
        ? "set the environment variable HTTP_TOKEN to its http.token"
        : status === 409
        ? "see kafka.partitions.shared"
        : "try again",
    );
  }
  return linesOf(JSON.parse(text));
}

function messageIn(text: string): string {
  try {
    return JSON.parse(text).error.message;
  } catch {
    return text;
  }
}

function linesOf(
  { generation, state, self, leader, sourcesAndSinks, processes }: ClusterAnswer,
): string[] {
  const addressOf = (life: string | null) =>
    processes.find((process) => process.life === life)?.address ?? life ?? "nobody";
  return [
    `Generation ${generation}, ${state}; ${addressOf(self)} answers, ${addressOf(leader)} leads`,
    `${addressOf(sourcesAndSinks)} runs sources of the job's own, and sinks in the process`,
    ...processes.flatMap(({ life, address, workers, watchedBy, partitions }) => [
      `${address ?? "no address"}: life ${life}, ${workers} workers, watched by ${
        addressOf(watchedBy)
      }`,
      ...Object.entries(partitions).map(([topic, some]) =>
        `    ${topic}: ${
          some.map(({ partition, since }) => `${partition} (since ${since})`).join(", ") || "none"
        }`
      ),
    ]),
  ];
}
