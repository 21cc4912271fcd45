// What a benchmark is held against, at its end.

/** Prints whether a figure keeps within its limit. */
export function printVerdict(isMet: boolean, what: string): void {
  console.log(`${isMet ? "met" : "MISSED"}: ${what}`);
}
