/** A parameter that is unknown, missing or wrong: names key, value and what is allowed. */
export class ParameterError extends Error {
  override readonly name = "ParameterError";
}
