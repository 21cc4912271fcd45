// A worker thread whose log is on the other side of the channel, or is generated here above that log.

import { GeneratorLog } from "../../log/mod.ts";
import { systemClock } from "../../types/mod.ts";
import { type LogFacts, RemoteLog } from "./remote_log.ts";
import { serve } from "./thread.ts";

serve((facts, rpc) => {
  const remote = new RemoteLog(rpc, facts as LogFacts);
  const { generator } = remote.facts;
  return generator ? new GeneratorLog(remote, generator, systemClock) : remote;
});
