// A file that is written whole or not at all.

/** Writes a file behind a rename: one who is stopped leaves the file before or the one behind. */
export async function writeWhole(file: URL, text: string): Promise<void> {
  const beside = new URL(`${file}.new`);
  await Deno.writeTextFile(beside, text);
  await Deno.rename(beside, file);
}
