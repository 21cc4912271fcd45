import { StopError } from "../types/mod.ts";

export { StopError };

/** A batch of the log cannot be read. It is read once more, from its log, before the job stops. */
export class DamagedBatchError extends StopError {
  /** @param batch names it: topic, partition and offset */
  constructor(readonly batch: string, message: string, remedy: string, options?: ErrorOptions) {
    super(message, remedy, options);
  }
}

/** The log refuses what it was asked, for another reason than that it is not there. */
export class RefusedError extends Error {
  override readonly name = "RefusedError";
}

/** The session was lost; the recovery path is to be taken. */
export class LostError extends Error {
  override readonly name = "LostError";
}

/** What was read of a log may not be in it any more: it has lost records, or is another one under the same name. */
export class OtherLogError extends LostError {}

/** This process stands by for another: only that one can do it. */
export class StandByError extends LostError {
  /** @param active host:port of the active process; null = it says none */
  constructor(active: string | null) {
    super(
      "This process stands by; the active one " +
        (active === null
          ? "has no address that others could ask (http.advertised.host)"
          : `is at ${active}`),
    );
  }
}

/** It cannot be done at the moment; it may be asked for again. */
export class UnavailableError extends Error {
  override readonly name = "UnavailableError";
}
