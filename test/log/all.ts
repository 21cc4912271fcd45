// What `deno test` runs of this folder (test/all.ts).

import "./embedded_crash_test.ts";
import "./embedded_log_test.ts";
import "./full_disk_test.ts";
import "./groups_test.ts";
import "./retention_test.ts";
