// deno task kafka:stop   stops the broker that kafka:start started   [--folder=data/kafka]

import { commandLine } from "../kit/command_line.ts";
import { brokerOf, stopBroker } from "./running.ts";

const values = commandLine("kafka:stop", { folder: { type: "string", default: "data/kafka" } });
const pid = await brokerOf(values.folder);
if (pid === null) console.log("No broker runs");
else {
  await stopBroker(pid);
  console.log(`The broker (process ${pid}) has stopped`);
}
