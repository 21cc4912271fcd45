/** Nothing came within the time given. */
export class TimeoutError extends Error {
  override readonly name = "TimeoutError";
}

/** The job has ended in good order: nothing more comes. */
export class JobEndedError extends Error {
  override readonly name = "JobEndedError";
}

/** The job has failed; the cause says why. */
export class JobFailedError extends Error {
  override readonly name = "JobFailedError";
}
