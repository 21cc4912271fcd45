// What is answered until the job has started: that the process lives, and what it waits for.

import { Hono } from "hono";
import type { Conditions } from "../engine/mod.ts";
import { LIFE_HEADER } from "../service/mod.ts";
import { type Access, accessChecks } from "./access.ts";
import { checked, fail } from "./answers.ts";
import { headLengths } from "./methods.ts";
import { INDEX } from "./index.ts";
import { pageRoutes } from "./page.ts";
import { answerReadiness } from "./readiness.ts";
import { exposeMetrics, type Metric, METRICS_TYPE } from "./exposition.ts";
import { BUILD_INFO, conditionsMetric, statesOf } from "./metrics.ts";

export interface StartingOptions {
  readonly conditions: Conditions;
  readonly access: Access;
  /** Identifies one life of the process. */
  readonly life: string;
  /** Aborted when the server stops taking requests. */
  readonly stopping: AbortSignal;
}

const NOT_READY: Metric = {
  name: "stockflow_ready",
  help: "1 when every partition is recovered, else 0",
  samples: () => [[0]],
};

/** The HTTP API of a job that has not started yet: probes and metrics; all else is to be asked later. */
export function createStartingApi(
  { conditions, access, life, stopping }: StartingOptions,
): Hono {
  const app = new Hono();
  const metrics = [BUILD_INFO, conditionsMetric(statesOf(conditions)), NOT_READY];

  app.get("*", headLengths);
  app.use(checked(...accessChecks(access)));
  app.get("/livez", (c) => c.text("ok\n", 200, { [LIFE_HEADER]: life }));
  app.get("/readyz", (c) => answerReadiness(c, { job: null, conditions, stopping }));
  app.get("/metrics", (c) => c.body(exposeMetrics(metrics), 200, { "content-type": METRICS_TYPE }));
  app.route("/", pageRoutes(INDEX));
  app.all("*", (c) => {
    const [first] = conditions.list();
    return fail(c, 503, "starting", `The job starts${first ? `; ${first.reason}` : ""}`);
  });
  return app;
}
