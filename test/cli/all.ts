// What `deno test` runs of this folder (test/all.ts).

import "./progress_display_test.ts";
import "./secrets_test.ts";
