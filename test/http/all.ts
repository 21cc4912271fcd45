// What `deno test` runs of this folder (test/all.ts).

import "./access_test.ts";
import "./api_test.ts";
import "./bodies_test.ts";
import "./cluster_test.ts";
import "./exposition_test.ts";
import "./logs_test.ts";
import "./manners_test.ts";
import "./metrics_test.ts";
import "./page_test.ts";
import "./retries_test.ts";
import "./savepoints_test.ts";
import "./status_test.ts";
