// Conditions as a worker thread reports them: the control plane keeps them, and clears them when the thread ends.

import type { ConditionFacts, ConditionReporter } from "../conditions.ts";
import type { Caller, Methods } from "../../log/mod.ts";

export interface ConditionCalls {
  setCondition(what: string, facts: ConditionFacts): void;
  clearCondition(what: string): void;
}

/** Reports to the other side of a channel, without waiting. */
export function remoteConditions(rpc: Caller<ConditionCalls>): ConditionReporter {
  return {
    set: (what, facts) => rpc.notify("setCondition", [what, facts]),
    clear: (what) => rpc.notify("clearCondition", [what]),
  };
}

/** The methods by which a thread reports conditions. */
export function conditionMethods(reporter: ConditionReporter): Methods<ConditionCalls> {
  return {
    setCondition: ([what, facts]) => reporter.set(what, facts),
    clearCondition: ([what]) => reporter.clear(what),
  };
}
