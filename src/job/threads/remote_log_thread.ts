// A worker thread whose log is on the other side of the channel.

import { type LogFacts, RemoteLog } from "./remote_log.ts";
import { serve } from "./thread.ts";

serve((facts, rpc) => new RemoteLog(rpc, facts as LogFacts));
