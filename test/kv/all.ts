// What `deno test` runs of this folder (test/all.ts).

import "./marked_writes_test.ts";
