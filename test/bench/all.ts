// What `deno test` runs of this folder (test/all.ts).

import "./peers_parts_test.ts";
import "./ready_batches_test.ts";
import "./peers_test.ts";
import "./series_test.ts";
