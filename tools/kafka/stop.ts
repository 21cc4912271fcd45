// deno task kafka:stop   stops the broker that kafka:start started   [--folder=data/kafka]

import { parseArgs } from "node:util";
import { brokerOf, stopBroker } from "./running.ts";

const { values } = parseArgs({
  args: Deno.args,
  options: { folder: { type: "string", default: "data/kafka" } },
});
const pid = await brokerOf(values.folder);
if (pid === null) console.log("No broker runs");
else {
  await stopBroker(pid);
  console.log(`The broker (process ${pid}) has stopped`);
}
