// What `deno test` runs: in one isolate, so that the modules under test are loaded and compiled once.

import "./types/all.ts";
import "./wasm/all.ts";
import "./kv/all.ts";
import "./log/all.ts";
import "./state/all.ts";
import "./engine/all.ts";
import "./service/all.ts";
import "./parameters/all.ts";
import "./http/all.ts";
import "./cli/all.ts";
import "./testing/all.ts";
import "./bench/all.ts";
import "./kafka/unit/all.ts";
