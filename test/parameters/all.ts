// What `deno test` runs of this folder (test/all.ts).

import "./foreign_keys_test.ts";
import "./parameters_test.ts";
