const CONTROLS = /[\x7f-\x9f]/g;

/**
 * Writes U+007F to U+009F as JSON may write any character: a terminal that shows a text must not be steered by
 * it, and JSON leaves them as they are.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * assertEquals(escapeControls('"a\u009bb"'), '"a\\u009bb"');
 * ```
 */
export function escapeControls(text: string): string {
  return text.replace(CONTROLS, (c) => `\\u00${c.charCodeAt(0).toString(16)}`);
}
