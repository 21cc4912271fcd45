// What `deno test` runs of this folder: in one isolate, so that the modules under test are loaded once.

import "./progress_display_test.ts";
import "./secrets_test.ts";
