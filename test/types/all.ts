// What `deno test` runs of this folder (test/all.ts).

import "./abort_signals_test.ts";
import "./clock_test.ts";
import "./deadlines_test.ts";
import "./formats_test.ts";
import "./partitioner_test.ts";
import "./path_errors_test.ts";
import "./record_batch_test.ts";
import "./turns_test.ts";
