// greeting: what a job prints once it runs.

import { resolve } from "node:path";
import { placeOfKv } from "../kv/mod.ts";
import type { Pipeline, WiredInput } from "../service/mod.ts";

/** Where the job listens, what it reads, and what could be tried. */
export function greeting(url: string, { params, wiring }: Pipeline): string {
  const { transactions, queries } = wiring;
  const checkpoints = placeOfKv(params.get("state.kv"));
  if (wiring.log === "kafka") {
    return `stockflow listens on ${url}
Its page, for a browser: ${url}/
It reads ${transactions.topic} and ${queries.topic} at ${
      params.get("kafka.bootstrap.servers")
    } as group ${params.get("kafka.group.id")}; its checkpoints are in ${checkpoints}.
Ctrl-C stops it and keeps everything.`;
  }
  const token = params.get("http.token") ? ' -H "authorization: Bearer $HTTP_TOKEN"' : "";
  const generated = transactions.generated === true;
  const lines = [
    `stockflow listens on ${url}`,
    `Its page, for a browser: ${url}/`,
    `Its log is ${resolve(params.get("log.kv"))}, its checkpoints are in ${checkpoints}.`,
    ...readsFrom("transactions", transactions),
    ...readsFrom("queries", queries),
    ...(generated ? ["Its transactions are generated, and have a stock of their own."] : []),
    "",
    "Try:",
    ...[transactions, queries].flatMap(({ feed }) => feed?.hint ? [`  ${feed.hint}`] : []),
    ...(generated ? [] : [
      `  curl -d $'1\\t1700000000000\\titem_2\\t100' -H 'content-type: text/plain'${token} ${url}/transactions`,
    ]),
    `  curl${token} ${url}/items/item_2`,
    "Ctrl-C stops it and keeps everything.",
  ];
  return lines.join("\n");
}

function readsFrom(what: string, { feed }: WiredInput<unknown>): string[] {
  return feed ? [`It reads ${what} from ${feed.from}.`] : [];
}
