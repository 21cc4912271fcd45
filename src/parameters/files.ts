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
  const bytes = readSmallBytes(path, what);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    throw new ParameterError(`Cannot read ${what}: it is not text in UTF-8; look at the path`, {
      cause: error,
    });
  }
}

/**
 * The bytes of a small file.
 *
 * @param what names it in errors
 * @throws {ParameterError} when it is not a file, cannot be read or is too large
 */
export function readSmallBytes(path: string, what: string): Uint8Array<ArrayBuffer> {
  try {
    const info = Deno.statSync(path);
    checkIsFile(info);
    if (info.size > SMALL_FILE_BYTES_MAX) {
      throw new ParameterError(
        `Cannot read ${what}: it has ${info.size} bytes, and at most ${SMALL_FILE_BYTES_MAX} are read`,
      );
    }
    return Deno.readFileSync(path);
  } catch (error) {
    if (error instanceof ParameterError) throw error;
    const { reason, remedy } = pathTrouble(error);
    throw new ParameterError(`Cannot read ${what}: ${reason}; ${remedy}`, { cause: error });
  }
}
