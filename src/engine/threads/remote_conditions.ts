// Conditions as a worker thread reports them: the control plane keeps them, and clears them when the thread ends.

import type { ConditionReporter } from "../conditions.ts";
import type { Method } from "../../log/threaded_log.ts";
import type { Rpc } from "./rpc.ts";

/** Reports to the other side of a channel, without waiting. */
export function remoteConditions(rpc: Rpc): ConditionReporter {
  return {
    set: (what, facts) => rpc.notify("setCondition", [what, facts]),
    clear: (what) => rpc.notify("clearCondition", [what]),
  };
}

/** The methods by which a thread reports conditions. */
export function conditionMethods(reporter: ConditionReporter): Record<string, Method> {
  return {
    setCondition: ([what, facts]) => reporter.set(what, facts),
    clearCondition: ([what]) => reporter.clear(what),
  };
}
