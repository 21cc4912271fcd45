/** A write of which it is known that it did not happen. */
export class WriteFailedError extends Error {
  override readonly name: string = "WriteFailedError";
}

/** The disk had no room for a write: it did not happen, and may be tried again once there is room. */
export class NoRoomError extends WriteFailedError {
  override readonly name = "NoRoomError";
}

/**
 * What SQLite (SQLITE_FULL) and the system (ENOSPC, EDQUOT) say. Errors lose their class on their way between
 * threads, so it is read from their texts.
 */
const NO_ROOM = /database or disk is full|No space left on device|quota exceeded/i;

/** Whether an error means that the disk has no room. */
export function isNoRoom(error: unknown): boolean {
  return error instanceof NoRoomError || error instanceof Error && NO_ROOM.test(error.message);
}
