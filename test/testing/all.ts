// What `deno test` runs of this folder (test/all.ts).

import "./job_tester_test.ts";
import "./transaction_processor_test.ts";
import "./watermark_recovery_test.ts";
