import type { Job } from "./job.ts";

export interface JavaOptions {
  readonly name: string;
  /** Its log is written there. */
  readonly folder: string;
  readonly jvm: readonly string[];
  readonly classPath: string;
  readonly mainClass: string;
  readonly parameters: Readonly<Record<string, string>>;
}

const LOG_SHOWN = 4000;

/** A peer: a Java process that prints how many records it has executed. */
export class JavaProcess implements Job {
  #records = 0;
  #ended = false;

  private constructor(
    readonly name: string,
    readonly logFile: string,
    readonly child: Deno.ChildProcess,
  ) {
    void this.#read(child.stdout);
    void child.status.then(() => this.#ended = true);
  }

  static async start(options: JavaOptions): Promise<JavaProcess> {
    const { name, folder, jvm, classPath, mainClass, parameters } = options;
    const logFile = `${folder}/${name}.log`;
    await Deno.writeTextFile(logFile, "");
    const log = "-Dorg.slf4j.simpleLogger.defaultLogLevel=error";
    const args = Object.entries(parameters).map(([key, value]) => `--${key}=${value}`);
    // A shell that is replaced by Java keeps the pid and writes its log to a file.
    const child = new Deno.Command("sh", {
      args: [
        "-c",
        `exec java "$@" 2>> '${logFile}'`,
        "sh",
        ...jvm,
        log,
        "-cp",
        classPath,
        mainClass,
        ...args,
      ],
      stdin: "null",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    return new JavaProcess(name, logFile, child);
  }

  get pid(): number {
    return this.child.pid;
  }

  records(): Promise<number> {
    return Promise.resolve(this.#records);
  }

  check(): void {
    if (!this.#ended) return;
    const log = Deno.readTextFileSync(this.logFile);
    throw new Error(`${this.name} has ended: ${log.slice(-LOG_SHOWN)}`);
  }

  async kill(): Promise<void> {
    try {
      this.child.kill("SIGKILL");
    } catch {
      // It has ended already.
    }
    await this.child.status;
  }

  async #read(output: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> {
    let rest = "";
    for await (const text of output.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      for (const line of lines) {
        const records = /^records (\d+)$/.exec(line)?.[1];
        if (records !== undefined) this.#records = Number(records);
      }
    }
  }
}
