// What is in the bundle: its modules, and the deno.json that starts them.

/** Modules that are started, by the name of their file in the bundle. */
export const ENTRIES: Readonly<Record<string, string>> = {
  main: "src/cli/main.ts",
  state: "src/cli/state.ts",
  generate: "src/cli/generate.ts",
  health: "src/cli/health.ts",
  log_thread: "src/engine/threads/remote_log_thread.ts",
  kafka_thread: "src/kafka/thread.ts",
};

/** Tasks of a checkout that the bundle has as well. */
const TASKS = ["start", "start:strict", "state", "generate", "health"];

/** Those of them that the launcher has: what works in every folder that a service may use. */
const LAUNCHED = ["start", "state", "generate", "health"];

/** Sets of permissions that they use. */
const PERMISSIONS = ["start", "state"];

/** As far as it is read here. */
export interface DenoJson {
  readonly version: string;
  readonly tasks: Readonly<Record<string, { description: string; command: string } | string>>;
  readonly imports: Readonly<Record<string, string>>;
  readonly unstable: readonly string[];
  readonly permissions: Readonly<Record<string, unknown>>;
}

/** The deno.json of the bundle: tasks, permissions and flags are those of the checkout. */
export function denoJsonOf({ version, tasks, unstable, permissions }: DenoJson): object {
  return {
    version,
    tasks: Object.fromEntries(TASKS.map((task) => [task, taskOf(tasks[task]!)])),
    unstable,
    permissions: Object.fromEntries(PERMISSIONS.map((set) => [set, permissions[set]])),
    // There is nothing to lock: all that is imported is in this folder.
    lock: false,
  };
}

function taskOf(
  task: { description: string; command: string } | string,
): { description: string; command: string } {
  if (typeof task === "string") throw new Error(`The task has no description: ${task}`);
  return { ...task, command: commandInBundle(task.command) };
}

/**
 * The command of a task for the bundle's module, which asks no registry for anything; and what Deno itself would say
 * (that permissions in a file are new) does not stand among the lines of the log.
 */
export function commandInBundle(command: string): string {
  for (const [name, source] of Object.entries(ENTRIES)) {
    if (!`${command} `.includes(` ${source} `)) continue;
    return command.replace(` ${source}`, ` ${name}.js`)
      .replace(/^deno run /, "deno run --quiet --cached-only ");
  }
  throw new Error(`The bundle has no module for: ${command}`);
}

/**
 * The launcher `stockflow`: what the tasks do, in a process of its own, as a container or systemd wants it. Without the
 * name of a task it starts the service.
 */
export function launcherOf({ tasks }: DenoJson): string {
  const cases = LAUNCHED.map((name) => {
    const { command } = taskOf(tasks[name]!);
    const [, flags, module] = /^deno run (.*) (\w+\.js)/.exec(command)!;
    return `  ${name}) exec deno run --config "$here/deno.json" ${flags} "$here/${module}" "$@" ;;`;
  });
  return `#!/bin/sh
# stockflow [${LAUNCHED.join(" | ")}] [arguments]: the tasks of deno.json without deno task.
here=$(dirname "$(readlink -f "$0")")
task=start
case "\${1:-}" in
  ${LAUNCHED.join(" | ")}) task=$1; shift ;;
  "" | -*) ;;
  *) echo "stockflow: expected ${LAUNCHED.join(", ")} or --key=value, not $1" >&2; exit 2 ;;
esac
case $task in
${cases.join("\n")}
esac
`;
}
