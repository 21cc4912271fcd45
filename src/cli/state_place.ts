import { isJobKind } from "../jobs/mod.ts";
import { PARAMETERS, Parameters, readSmallFile } from "../parameters/mod.ts";
import { ownConfigOf } from "./arguments.ts";

/** Whose checkpoints the state tool looks at, and where they are. */
export interface StatePlace {
  /** A kind of job that comes with the program, or the name of a job of one's own. */
  readonly kind: string;
  readonly path: string;
}

/**
 * Where a service that is started the same way keeps its checkpoints: by flags, the environment (JOB, STATE_KV), the
 * file of parameters that comes with the program, defaults, in this order.
 *
 * @throws {ParameterError} for a text that is not a path
 */
export function statePlace(flags: { readonly job?: string; readonly path?: string }): StatePlace {
  const kind = flags.job ?? (Deno.env.get("JOB") || PARAMETERS.job.default);
  const name = isJobKind(kind) ? ownConfigOf(kind) : null;
  const params = Parameters.from({
    flags: flags.path === undefined ? {} : { "state.kv": flags.path },
    environment: (variable) => variable === "STATE_KV" ? Deno.env.get(variable) : undefined,
    ...(name === null ? {} : { file: { name, text: readSmallFile(name, name) } }),
  });
  return { kind, path: params.get("state.kv") };
}
