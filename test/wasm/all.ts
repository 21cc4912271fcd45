// What `deno test` runs of this folder (test/all.ts).

import "./buffer_pool_test.ts";
import "./checkpoint_test.ts";
import "./core_test.ts";
import "./flood_test.ts";
import "./fold_test.ts";
import "./generator_test.ts";
import "./model_test.ts";
import "./remembered_test.ts";
import "./slabs_test.ts";
import "./stock_sum_test.ts";
import "./stored_ids_test.ts";
import "./text_values_test.ts";
import "./uuid_test.ts";
import "./warm_up_test.ts";
import "./windows_test.ts";
