/** The disk that a file is on, as those who write the file know it. */
export interface FileDisk {
  /** Why nothing new may be written now; null = it may. */
  readonly refusal: string | null;
  /** A write happened (null), or failed because there was no room. */
  onWrite(error: Error | null): void;
  /** Whether an error of the file comes from a disk without room, though it does not say so. */
  isFull(): Promise<boolean>;
}
