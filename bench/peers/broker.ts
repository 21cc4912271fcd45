// The broker that all engines are measured against.

import { startTestBroker, type TestBroker } from "../../tools/kit/test_broker.ts";

/** Its code is compiled well, not quickly as in tests: what it takes of the processors is missing to who is measured. */
export function startMeasuredBroker(): Promise<TestBroker> {
  return startTestBroker({}, [], { shortLived: false });
}
