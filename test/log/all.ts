// What `deno test` runs of this folder: in one isolate, so that the modules under test are loaded once.

import "./embedded_crash_test.ts";
import "./embedded_log_test.ts";
import "./full_disk_test.ts";
import "./retention_test.ts";
