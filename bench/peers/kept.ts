// What was measured, in files: each command keeps its own part of bench/RESULTS.md, and leaves the others as they are.

import { pathToFileURL } from "node:url";
import { FigureFile } from "./figures.ts";
import { machineOf, type Measured } from "./machine.ts";
import { writeWhole } from "./whole_file.ts";

/** The parts beside the comparison itself, by the names of their files. */
export type PartName = "answers" | "latency" | "state" | "recovery" | "scale" | "stages";

/** The option of all commands that says where figures are kept. */
export const TO = { type: "string", default: "" } as const;

/** This minute, as in 2026-11-27T09:00Z. */
export const nowText = (): string => `${new Date().toISOString().slice(0, 16)}Z`;

export class Kept {
  /** @param folder of RESULTS.md; figures and charts are in its folder `results` */
  private constructor(
    readonly root: URL,
    readonly folder: URL,
    /** They are those of this repository: README.md shows them too. */
    readonly isOwn: boolean,
  ) {}

  /** @param to another folder than bench/, for a trial */
  static async open(to: string): Promise<Kept> {
    const root = new URL("../../", import.meta.url);
    const folder = to === "" ? new URL("bench/", root) : pathToFileURL(`${to}/`);
    const kept = new Kept(root, folder, to === "");
    await Deno.mkdir(kept.fileOf("results/"), { recursive: true });
    return kept;
  }

  fileOf(name: string): URL {
    return new URL(name, this.folder);
  }

  /** The rounds of the comparison. */
  figures(): Promise<FigureFile> {
    return FigureFile.open(this.fileOf("results/peers.json"));
  }

  /** What was measured of a part so far. */
  async read<T>(part: PartName): Promise<T[]> {
    try {
      return JSON.parse(await Deno.readTextFile(this.fileOf(`results/${part}.json`)));
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      return [];
    }
  }

  /** Keeps a measurement of this machine in the place of those that are of the same. */
  async put<T extends Measured>(
    part: PartName,
    measured: T,
    isOfSame: (other: T) => boolean,
  ): Promise<void> {
    const others = (await this.read<T>(part)).filter((other) => !isOfSame(other));
    const all = [...others, { ...measured, machine: await machineOf() }];
    const text = `[\n${all.map((one) => JSON.stringify(one)).join(",\n")}\n]\n`;
    await writeWhole(this.fileOf(`results/${part}.json`), text);
  }
}
