// Builds the image without Docker and without a registry: buildah needs no daemon, and the base is made here.
//
// A folder of its own holds buildah's storage, so nothing of the machine's images is touched, and the base, once made,
// is found again.

import { keptFolder } from "../kafka/libraries.ts";

const ROOT = new URL("../../", import.meta.url).pathname;

/** The programs that are needed, and the packages of Debian that have them. */
const PROGRAMS: Readonly<Record<string, string>> = {
  buildah: "buildah",
  mmdebstrap: "mmdebstrap",
  unshare: "util-linux",
  chroot: "coreutils",
};

/** Of which Debian the base is. */
const DEBIAN = "bookworm";
/** Counted up when the base is made in another way. */
const BASE_RECIPE = "2";
/** As in the base that Docker fetches. */
const DENO_USER = 1993;

/** Why images cannot be built here, with the remedy; null = they can. */
export async function whyNoImages(): Promise<string | null> {
  if (Deno.build.os !== "linux" || Deno.uid() !== 0) return "needs root on Linux";
  for (const [program, debian] of Object.entries(PROGRAMS)) {
    const { success } = await new Deno.Command("sh", { args: ["-c", `command -v ${program}`] })
      .output();
    if (!success) return `${program} is not installed (Debian: apt-get install ${debian})`;
  }
  return null;
}

/**
 * Runs a program to its end.
 *
 * @returns what it wrote to its standard output
 * @throws {Error} when it fails
 */
export async function run(program: string, args: readonly string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(program, {
    args: [...args],
    stdin: "null",
  }).output();
  const text = new TextDecoder().decode(stdout);
  if (success) return text.trim();
  const said = text + new TextDecoder().decode(stderr);
  throw new Error(`${program} ${args.join(" ")} failed: ${said.slice(-4000)}`);
}

/** Where images are kept from one run to the next. */
const FOLDER = keptFolder("images");

/** Runs buildah: no daemon, files for layers, nothing fetched. */
export async function buildah(command: string, ...args: readonly string[]): Promise<string> {
  const storage = ["--storage-driver=vfs", `--root=${FOLDER}/storage`, `--runroot=${FOLDER}/run`];
  return await run("buildah", [...storage, command, ...args]);
}

/** The base that the Dockerfile names. */
async function baseName(): Promise<string> {
  const dockerfile = await Deno.readTextFile(`${ROOT}Dockerfile`);
  return /^FROM (denoland\/\S+)/m.exec(dockerfile)![1]!;
}

/**
 * Makes an image of the base's name, unless there is one: Debian with the Deno that runs this, set up as Deno's own
 * image is.
 *
 * @returns its name
 */
export async function ensureBase(): Promise<string> {
  await Deno.mkdir(FOLDER, { recursive: true });
  using one = await Deno.create(`${FOLDER}/lock`);
  await one.lock(true);
  const name = await baseName();
  const recipe = `${BASE_RECIPE} ${DEBIAN} ${Deno.version.deno}`;
  const kept = await Deno.readTextFile(`${FOLDER}/recipe`).catch(() => "");
  if (kept === recipe && await hasImage(name)) return name;
  await Deno.writeTextFile(`${FOLDER}/recipe`, "");
  const work = await Deno.makeTempDir({ prefix: "stockflow-base-" });
  try {
    await run("mmdebstrap", [
      "--quiet",
      "--variant=minbase",
      "--dpkgopt=path-exclude=/usr/share/doc/*",
      "--dpkgopt=path-exclude=/usr/share/man/*",
      "--dpkgopt=path-exclude=/usr/share/locale/*",
      `--customize-hook=chroot "$1" useradd --uid ${DENO_USER} --user-group deno`,
      `--customize-hook=mkdir "$1/deno-dir" && chroot "$1" chown deno:deno /deno-dir`,
      `--customize-hook=copy-in ${await Deno.realPath(Deno.execPath())} /usr/bin`,
      DEBIAN,
      `${work}/base.tar`,
    ]);
    const container = await buildah("from", "--pull-never", "scratch");
    await buildah("add", "--quiet", container, `${work}/base.tar`, "/");
    await buildah(
      "config",
      "--env=PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
      "--env=DENO_USE_CGROUPS=1",
      "--env=DENO_DIR=/deno-dir/",
      `--env=DENO_VERSION=${Deno.version.deno}`,
      container,
    );
    await buildah("commit", "--quiet", "--rm", "--format=docker", container, name);
  } finally {
    await Deno.remove(work, { recursive: true });
  }
  await Deno.writeTextFile(`${FOLDER}/recipe`, recipe);
  return name;
}

async function hasImage(name: string): Promise<boolean> {
  return await buildah("inspect", "--type=image", name).then(() => true, () => false);
}

/**
 * Builds the Dockerfile of this checkout.
 *
 * @returns the image's id
 */
export async function buildImage(): Promise<string> {
  await ensureBase();
  // What this machine's network needs, and nothing that would stay in the image.
  const certificates = Deno.env.has("NODE_EXTRA_CA_CERTS") || Deno.env.has("DENO_TLS_CA_STORE")
    ? ["--build-arg=DENO_TLS_CA_STORE=system", "--volume=/etc/ssl/certs:/etc/ssl/certs:ro"]
    : [];
  const registry = Deno.env.get("NPM_CONFIG_REGISTRY");
  return await buildah(
    "build",
    "--quiet",
    "--isolation=chroot",
    "--network=host",
    "--pull-never",
    "--format=docker",
    "--layers=false",
    ...certificates,
    ...(registry ? [`--build-arg=NPM_CONFIG_REGISTRY=${registry}`] : []),
    ROOT,
  );
}

/** As Docker shows it (`docker inspect`), as far as it is read here. */
export interface ImageConfig {
  readonly User: string;
  readonly Env: readonly string[];
  readonly Entrypoint: readonly string[];
  readonly Cmd: readonly string[];
  readonly WorkingDir: string;
  readonly Volumes: Readonly<Record<string, unknown>>;
  readonly ExposedPorts: Readonly<Record<string, unknown>>;
  readonly Labels: Readonly<Record<string, string>>;
  readonly StopSignal: string;
  readonly Healthcheck: { readonly Test: readonly string[] };
}

export async function configOf(image: string): Promise<ImageConfig> {
  const { Docker } = JSON.parse(await buildah("inspect", "--type=image", image));
  return Docker.config;
}

/** The files of an image, in a container that nobody started. */
export interface Files {
  readonly folder: string;
  remove(): Promise<void>;
}

export async function filesOf(image: string): Promise<Files> {
  const container = await buildah("from", "--pull-never", image);
  return {
    folder: await buildah("mount", container),
    remove: async () => void await buildah("rm", container),
  };
}

export async function removeImage(image: string): Promise<void> {
  await buildah("rmi", image);
}
