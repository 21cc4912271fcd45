// The files of unit tests that try more cases with --times, in one isolate as in all.ts. What they test without cases is
// run as well.

import "./wasm/checkpoint_test.ts";
import "./wasm/fold_test.ts";
import "./wasm/flood_test.ts";
import "./wasm/remembered_test.ts";
import "./wasm/stock_sum_test.ts";
import "./engine/recovery_test.ts";
import "./engine/remembered_test.ts";
import "./engine/watchdog_test.ts";
import "./log/embedded_crash_test.ts";
import "./service/savepoint_test.ts";
import "./service/sinks_test.ts";
import "./state/checkpoint_store_test.ts";
import "./state/damage_test.ts";
import "./testing/watermark_recovery_test.ts";
