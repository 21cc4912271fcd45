// What `deno test` runs of this folder: in one isolate, so that the modules under test are loaded once.

import "./peers_test.ts";
import "./series_test.ts";
