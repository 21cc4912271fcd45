/** Something that the code promises itself does not hold: whoever finds it takes the recovery path. */
export class BrokenPromiseError extends Error {
  override readonly name = "BrokenPromiseError";
}

/**
 * Checks what must hold, in production too: for the control plane, where it costs nothing.
 *
 * @throws {BrokenPromiseError}
 */
export function assertThat(holds: boolean, promise: string): asserts holds {
  if (!holds) throw new BrokenPromiseError(`It does not hold: ${promise}`);
}
