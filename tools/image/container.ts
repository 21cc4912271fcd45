// Runs an image's entrypoint as a container engine would, with the kernel's own means: namespaces of mounts and
// processes, a root that is read-only, the image's user, its environment and nothing else.

import { type Service, whenListening } from "../kit/service.ts";
import type { ImageConfig } from "./buildah.ts";

export interface ContainerOptions {
  /** The image's files. */
  readonly root: string;
  readonly config: ImageConfig;
  /** A folder that is mounted at the image's volume. */
  readonly volume: string;
  /** Instead of the image's command. */
  readonly args?: readonly string[];
  /** Beside the image's environment. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Mounts as `docker run --read-only --tmpfs /tmp -v <volume>:/data` makes them, then what is behind "--". */
const MOUNT = `set -e
mount --make-rprivate /
mount --bind "$1" "$1"
mount --bind "$2" "$1$3"
mount -t tmpfs tmpfs "$1/tmp"
mount -t proc proc "$1/proc"
mount --rbind /dev "$1/dev"
mount -o remount,bind,ro "$1"
shift 4
exec "$@"`;

function commandOf({ root, config, volume, args, env }: ContainerOptions): Deno.Command {
  const [at] = Object.keys(config.Volumes);
  const variables = [...config.Env, ...Object.entries(env ?? {}).map(([k, v]) => `${k}=${v}`)];
  const [user, group] = config.User.split(":");
  return new Deno.Command("unshare", {
    // deno-fmt-ignore
    args: [
      "--mount", "--pid", "--fork", "--kill-child",
      "sh", "-c", MOUNT, "sh", root, volume, at!, "--",
      "chroot", "--groups=", `--userspec=${user}:${group}`, root,
      "/usr/bin/env", "-i", `--chdir=${config.WorkingDir}`, ...variables,
      ...config.Entrypoint, ...args ?? config.Cmd,
    ],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
}

export interface Container extends Service {
  /** The service itself: process 1 of its container. */
  readonly first: number;
}

/** Starts the image's entrypoint; resolves when the service listens. */
export async function startContainer(options: ContainerOptions): Promise<Container> {
  const child = commandOf(options).spawn();
  const service = await whenListening(child, options.volume);
  const children = await Deno.readTextFile(`/proc/${child.pid}/task/${child.pid}/children`);
  const first = Number(children.trim());
  return { ...service, first, signal: (signal) => Deno.kill(first, signal) };
}

/** Runs the entrypoint to its end. */
export async function runContainer(
  options: ContainerOptions,
): Promise<{ code: number; output: string }> {
  const { code, stdout, stderr } = await commandOf(options).output();
  return { code, output: new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr) };
}
