// The peers' jars: built by Maven from the sources in this folder, and kept until those change.

import { BrokerError, cacheFolder, exists, run } from "../../tools/kafka/libraries.ts";

const SOURCES = new URL("./", import.meta.url);
const MODULES = ["pipeline", "flink", "streams"];

/** Class paths of the peers, for `java -cp`. */
export interface PeerJars {
  readonly flink: string;
  readonly streams: string;
}

/** Why the peers cannot be built here; null if they are built. */
export async function whyNoPeers(): Promise<string | null> {
  try {
    await buildPeers();
    return null;
  } catch (error) {
    if (error instanceof BrokerError) return error.message;
    throw error;
  }
}

/**
 * Builds the peers, unless these sources were built before.
 *
 * @throws {BrokerError} when Java's compiler or Maven is not there, or fails
 */
export async function buildPeers(): Promise<PeerJars> {
  const files = await sourceFiles();
  const folder = `${cacheFolder("peers")}/${await hashOf(files)}`;
  const jars = { flink: `${folder}/flink/*`, streams: `${folder}/streams/*` };
  if (await exists(folder)) return jars;
  await run("javac", ["-version"]);
  await Deno.mkdir(cacheFolder("peers"), { recursive: true });
  // Built beside its place, so that one who was stopped leaves nothing that looks complete.
  const work = await Deno.makeTempDir({ dir: cacheFolder("peers"), prefix: "build-" });
  try {
    for (const [path, bytes] of files) {
      await Deno.mkdir(`${work}/sources/${path}`.replace(/\/[^/]*$/, ""), { recursive: true });
      await Deno.writeFile(`${work}/sources/${path}`, bytes);
    }
    await run("mvn", ["-q", "-B", "package"], `${work}/sources`);
    for (const peer of ["flink", "streams"]) {
      const target = `${work}/sources/${peer}/target`;
      await Deno.rename(`${target}/${peer}-1.jar`, `${target}/libs/${peer}-1.jar`);
      await Deno.mkdir(`${work}/jars`, { recursive: true });
      await Deno.rename(`${target}/libs`, `${work}/jars/${peer}`);
    }
    await Deno.rename(`${work}/jars`, folder).catch(async (error) => {
      // Another process was faster.
      if (!await exists(folder)) throw error;
    });
  } finally {
    await Deno.remove(work, { recursive: true });
  }
  return jars;
}

/** What the build depends on, by its path in this folder. */
async function sourceFiles(): Promise<Map<string, Uint8Array<ArrayBuffer>>> {
  const files = new Map<string, Uint8Array<ArrayBuffer>>();
  const read = async (path: string) => files.set(path, await Deno.readFile(new URL(path, SOURCES)));
  await read("pom.xml");
  for (const module of MODULES) {
    await read(`${module}/pom.xml`);
    for (const path of await javaFiles(`${module}/src`)) await read(path);
  }
  return files;
}

async function javaFiles(folder: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(new URL(`${folder}/`, SOURCES))) {
    if (isDirectory) found.push(...await javaFiles(`${folder}/${name}`));
    else if (name.endsWith(".java")) found.push(`${folder}/${name}`);
  }
  return found.sort();
}

async function hashOf(files: ReadonlyMap<string, Uint8Array<ArrayBuffer>>): Promise<string> {
  const parts = [...files].map(([path, bytes]) => new Blob([path, "\0", bytes, "\0"]));
  const bytes = await new Blob(parts).arrayBuffer();
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return digest.toHex().slice(0, 16);
}
