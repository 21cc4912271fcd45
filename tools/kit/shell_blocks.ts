// The blocks of shell commands in a document, and what they need that a test does not have.

/** What a block may need: it is not run then. */
const NEEDS = ["Docker", "cluster", "systemd", "nginx"] as const;

export interface ShellBlock {
  readonly text: string;
  /** Line of the document in which it begins, from 1 on. */
  readonly line: number;
  /** Null = it is run. */
  readonly needs: typeof NEEDS[number] | null;
}

/**
 * Blocks that are fenced as `sh`. A comment `<!-- needs: Docker -->` before one says that it is not run.
 *
 * @throws {RangeError} for a need that is not known
 */
export function shellBlocks(document: string): ShellBlock[] {
  const pattern = /(?:<!-- needs: (\w+) -->\n+)?^```sh\n([\s\S]*?)^```$/gm;
  return [...document.matchAll(pattern)].map(({ 1: need, 2: text, index }) => {
    const needs = NEEDS.find((known) => known === need) ?? null;
    if (need !== undefined && needs === null) throw new RangeError(`Nothing is called ${need}`);
    return { text: text!, line: document.slice(0, index).split("\n").length, needs };
  });
}
