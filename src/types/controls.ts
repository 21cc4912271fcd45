const CONTROLS = /[\x7f-\x9f]/g;
// deno-lint-ignore no-control-regex
const ALL_CONTROLS = /[\x00-\x08\x0b-\x1f\x7f-\x9f]/g;

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
  return text.replace(CONTROLS, escapeOf);
}

/** The same for a text that is not JSON: of U+0000 to U+001F only TAB and LF stay. */
export function escapeAllControls(text: string): string {
  return text.replace(ALL_CONTROLS, escapeOf);
}

function escapeOf(control: string): string {
  return `\\u${control.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
