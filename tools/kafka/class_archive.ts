// Java's archive of the classes that a broker loads: with it a start takes two thirds of the CPU.

import { exists, javaVersion } from "./libraries.ts";

/** Where the archive of a version's jars is, for the Java that is installed; it need not be there yet. */
async function classArchiveOf(libs: string): Promise<string> {
  return `${libs}/../classes-${await javaVersion()}.jsa`;
}

/** The flags of Java that use the archive; none as long as it is not there. */
export async function archiveFlags(libs: string): Promise<string[]> {
  const archive = await classArchiveOf(libs);
  return await exists(archive) ? [`-XX:SharedArchiveFile=${archive}`] : [];
}

/**
 * Makes the archive unless it is there.
 *
 * @param broker starts a broker with the flags of Java that it is given, and stops it in good order
 */
export async function archiveClasses(
  libs: string,
  broker: (flags: readonly string[]) => Promise<void>,
): Promise<void> {
  const archive = await classArchiveOf(libs);
  if (await exists(archive)) return;
  // Beside its place, so that one who was stopped leaves nothing that looks complete.
  const work = await Deno.makeTempDir({ dir: `${libs}/..` });
  try {
    await broker([`-XX:ArchiveClassesAtExit=${work}/classes.jsa`]);
    await Deno.rename(`${work}/classes.jsa`, archive);
  } finally {
    await Deno.remove(work, { recursive: true });
  }
}
