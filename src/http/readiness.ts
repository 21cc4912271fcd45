// What /readyz answers: whether the process can do something now, and what is not as it should be.

import type { Context } from "hono";
import type { Conditions } from "../engine/mod.ts";
import type { RunningJob } from "../service/mod.ts";
import { StandByError } from "../log/mod.ts";
import { fail } from "./answers.ts";

/** What is looked at. */
export interface ReadinessOptions {
  readonly conditions: Conditions;
  /** Null until the job has started. */
  readonly job: Pick<RunningJob, "failure" | "isLogAvailable" | "isReady" | "standsBy"> | null;
  /** Aborted when the server stops taking requests. */
  readonly stopping: AbortSignal;
}

/** Why something cannot be done now: a reason for programs, a message for people. */
interface Obstacle {
  readonly reason: string;
  readonly message: string;
}

/** By what is asked for (`/readyz?for=writes`): what is in its way; null = it can be done. */
const PURPOSES: Readonly<Record<string, (options: ReadinessOptions) => Obstacle | null>> = {
  lookups: (options) => ofJob(options) ?? ofConditions(options, "lookups"),
  writes: (options) => ofJob(options) ?? ofConditions(options, "writes"),
  "stand-by": (options) =>
    (isStandingBy(options) ? null : ofJob(options)) ?? ofConditions(options, "lookups"),
};

/** Whether nothing is wrong but that another process is active. */
function isStandingBy({ job, stopping }: ReadinessOptions): boolean {
  return job !== null && job.failure === null && job.standsBy !== null && !stopping.aborted;
}

function ofJob({ job, stopping }: ReadinessOptions): Obstacle | null {
  if (job?.failure) return { reason: "failed", message: job.failure.message };
  if (stopping.aborted) return { reason: "stopping", message: "The job stops" };
  if (job === null) return { reason: "starting", message: "The job starts" };
  if (job.standsBy) {
    return { reason: "stand_by", message: new StandByError(job.standsBy.active).message };
  }
  if (!job.isLogAvailable) return { reason: "log", message: "The log does not answer" };
  if (job.isReady) return null;
  return { reason: "recovering", message: "Partitions are being recovered" };
}

function ofConditions(
  { conditions }: ReadinessOptions,
  purpose: "lookups" | "writes",
): Obstacle | null {
  const condition = conditions.blocking(purpose);
  return condition && { reason: condition.what, message: condition.reason };
}

/**
 * Answers /readyz: 200 while look-ups can be answered, also if something else is not as it should be, which
 * its further lines then name; `?for=writes` is 503 while new transactions and queries are refused;
 * `?for=stand-by` is 200 also while the process stands by for another.
 */
export function answerReadiness(c: Context, options: ReadinessOptions): Response {
  const purpose = c.req.query("for") ?? "lookups";
  if (!Object.hasOwn(PURPOSES, purpose)) {
    const allowed = Object.keys(PURPOSES).join(" or ");
    const given = JSON.stringify(purpose.slice(0, 100));
    return fail(c, 400, "for", `for must be ${allowed}, not ${given}`);
  }
  const obstacle = PURPOSES[purpose]!(options);
  const standing = options.conditions.list();
  if (!obstacle) {
    const lines = standing.map(({ what, reason, blocks }) =>
      `${what}: ${reason}; it blocks ${blocks}`
    );
    return c.text([isStandingBy(options) ? "stands by" : "ready", ...lines, ""].join("\n"));
  }
  const others = standing.filter(({ what }) => what !== obstacle.reason)
    .map(({ what, reason }) => `; ${what}: ${reason}`);
  return fail(c, 503, obstacle.reason, obstacle.message + others.join(""));
}
