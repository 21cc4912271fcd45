import { standardOutput } from "../engine/line_output.ts";
import { forEach, type ForEachOptions, type ProcessSink } from "./streams.ts";

/**
 * A sink that prints each value in a line of standard output, and waits for whoever reads there.
 *
 * @param show the text of a value, without a line feed
 */
export function print<T>(
  show: (value: T) => string,
  options: ForEachOptions = {},
): ProcessSink<T> {
  return forEach(async (values, { signal }) => {
    for (const value of values) standardOutput.print(`${show(value)}\n`);
    await standardOutput.room(signal);
  }, options);
}
