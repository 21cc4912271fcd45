import { escapeControls } from "./controls.ts";
import type { QueryResult } from "./records.ts";

/**
 * A query result for people to read.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * assertEquals(
 *   showQueryResult({ queryId: 123n, itemInfo: { itemId: "item_2", quantity: 10665n } }),
 *   "QueryResult{queryId=123, itemInfo=ItemInfo{itemId='item_2', quantity=10665}}",
 * );
 * assertEquals(showQueryResult({ queryId: 7n, itemInfo: null }), "QueryResult{queryId=7, itemInfo=null}");
 * ```
 */
export function showQueryResult({ queryId, itemInfo }: QueryResult): string {
  const info = itemInfo && `ItemInfo{itemId='${itemInfo.itemId}', quantity=${itemInfo.quantity}}`;
  return escapeControls(`QueryResult{queryId=${queryId}, itemInfo=${info}}`);
}
