// What `deno test` runs of this folder (test/all.ts).

import "./active_generation_test.ts";
import "./active_watch_test.ts";
import "./batches_test.ts";
import "./codecs_test.ts";
import "./committed_metadata_test.ts";
import "./confirmations_test.ts";
import "./find_partitioner_test.ts";
import "./frame_socket_test.ts";
import "./frames_test.ts";
import "./heartbeats_test.ts";
import "./member_facts_test.ts";
import "./share_partitions_test.ts";
import "./versions_test.ts";
import "./worker_shares_test.ts";
