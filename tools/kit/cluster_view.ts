// How processes that share partitions say who has what, at GET /cluster.

import type { ClusterAnswer } from "../../src/http/cluster.ts";
import { headersOf, type Service } from "./service.ts";

type Asked = Pick<Service, "url" | "token">;

/** What a process says; null while it joins the group. */
export async function clusterOf(process: Asked): Promise<ClusterAnswer | null> {
  const response = await fetch(`${process.url}/cluster`, { headers: headersOf(process) });
  const body = await response.json();
  return response.ok ? body : null;
}

/** What all of some processes say, and no other process is in it; null while they do not say the same. */
export async function sharedBy(
  processes: readonly Asked[],
): Promise<ClusterAnswer | null> {
  const views = await Promise.all(processes.map(clusterOf));
  const [first] = views;
  const isSame = views.every((view) =>
    view !== null && view.generation === first?.generation && view.state === "sharing" &&
    view.processes.length === processes.length
  );
  return isSame ? first! : null;
}

/** By partition of a topic: the life of the process that has it. */
export function ownersIn({ processes }: ClusterAnswer, topic: string): Map<number, string> {
  return new Map(
    processes.flatMap(({ life, partitions }) =>
      partitions[topic]!.map(({ partition }) => [partition, life] as const)
    ),
  );
}
