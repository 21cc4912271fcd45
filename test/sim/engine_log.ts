// The engine's own log, as people read it: goes into the trace, and errors that no fault explains
// are violations.

import { configureSync, type LogRecord } from "@logtape/logtape";
import type { World } from "./world.ts";

let attached: World | null = null;
let configured = false;

export const EngineLog = {
  /** From now on the engine's log belongs to a world. */
  attach(world: World): void {
    attached = world;
    if (configured) return;
    configured = true;
    configureSync({
      sinks: { sim: (record) => take(record) },
      loggers: [
        { category: ["stockflow"], lowestLevel: "info", sinks: ["sim"] },
        { category: ["logtape", "meta"], lowestLevel: "error", sinks: ["sim"] },
      ],
    });
  },

  detach(): void {
    attached = null;
  },
};

function take(record: LogRecord): void {
  if (!attached) return;
  const { level, properties } = record;
  const message = () => record.message.map(String).join("");
  attached.sim.trace("log", () => `${level}: ${message()}`);
  if (level !== "error" && level !== "fatal") return;
  attached.onErrorLogged(`${message()}${properties.stack ? ` ${properties.stack}` : ""}`);
}
