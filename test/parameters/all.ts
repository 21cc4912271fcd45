// What `deno test` runs of this folder: in one isolate, so that the modules under test are loaded once.

import "./foreign_keys_test.ts";
import "./parameters_test.ts";
