// What `deno test` runs of this folder (test/all.ts).

import "./data_generator_job_test.ts";
import "./full_disk_test.ts";
import "./gateway_test.ts";
import "./generated_test.ts";
import "./process_life_test.ts";
import "./known_partitions_test.ts";
import "./merge_status_test.ts";
import "./query_processor_test.ts";
import "./remote_store_test.ts";
import "./savepoint_test.ts";
import "./sink_worker_test.ts";
import "./sinks_test.ts";
import "./sources/from_records_test.ts";
import "./sources/line_reader_test.ts";
import "./sources/line_splitter_test.ts";
import "./status_test.ts";
import "./take_savepoint_test.ts";
import "./thread_count_test.ts";
