// What `deno test` runs of this folder (test/all.ts).

import "./checkpoint_store_test.ts";
import "./compression_test.ts";
import "./crafted_test.ts";
import "./damage_test.ts";
import "./fold_parameters_test.ts";
import "./formats/formats_test.ts";
import "./savepoints_test.ts";
import "./transfer_test.ts";
