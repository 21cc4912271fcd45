// What `deno test` runs of this folder: in one isolate, so that the modules under test are loaded once.

import "./job_tester_test.ts";
import "./transaction_processor_test.ts";
import "./watermark_recovery_test.ts";
