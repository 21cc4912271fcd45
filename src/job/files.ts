import { checkIsFile, pathTrouble } from "../types/mod.ts";
import { ParameterError } from "./errors.ts";

/** A file of parameters, of certificates or of a password is not larger: whatever is, is another file. */
export const SMALL_FILE_BYTES_MAX = 1024 * 1024;

/**
 * The text of a small file, such as one of parameters.
 *
 * @param what names it in errors
 * @throws {ParameterError} when it is not a file, cannot be read, is too large or is not UTF-8
 */
export function readSmallFile(path: string, what: string): string {
  try {
    const info = Deno.statSync(path);
    checkIsFile(info);
    if (info.size > SMALL_FILE_BYTES_MAX) {
      throw new ParameterError(
        `Cannot read ${what}: it has ${info.size} bytes, and at most ${SMALL_FILE_BYTES_MAX} are read`,
      );
    }
    return new TextDecoder("utf-8", { fatal: true }).decode(Deno.readFileSync(path));
  } catch (error) {
    if (error instanceof ParameterError) throw error;
    const isText = !(error instanceof TypeError) || "code" in error;
    const { reason, remedy } = isText
      ? pathTrouble(error)
      : { reason: "it is not text in UTF-8", remedy: "look at the path" };
    throw new ParameterError(`Cannot read ${what}: ${reason}; ${remedy}`, { cause: error });
  }
}
