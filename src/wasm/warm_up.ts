import { encodeBatch, encodeUtf8 } from "../types/mod.ts";
import { codecOf } from "../types/format.ts";
import { Code, Core, type CoreOptions } from "./core_instance.ts";

const RECORDS = 512;
const ROUNDS = 24;

/**
 * Runs synthetic batches through a throw-away instance, so that the engine has compiled the core for
 * speed before it takes traffic. All instances share the compiled code.
 */
export function warmUp(options: CoreOptions): void {
  const core = new Core({ ...options, partitioner: 0 });
  const codec = codecOf(options.format);
  for (let round = 0; round < ROUNDS; round++) {
    const records = Array.from({ length: RECORDS }, (_, i) => {
      const itemId = i % 16 === 0 ? `unusual-item-${i}-${round}` : `item_${i * round}`;
      const transaction = {
        transactionId: 2n ** 62n + BigInt(i),
        ts: 1000 * round,
        itemId,
        quantity: 99 - i,
      };
      return {
        timestamp: 1000 * round,
        key: encodeUtf8(itemId),
        value: encodeUtf8(codec.formatTransaction(transaction)),
      };
    });
    core.position = 0n;
    core.begin(encodeBatch(records));
    while (core.run() > Code.Done) {
      core.take();
      while (core.fire(true) > Code.Done) core.take();
    }
    core.take();
  }
}
