// A disk that can be full.

/** A small file system of its own, or null where it cannot be mounted. */
export async function mountSmall(
  folder: string,
  mebibytes = 12,
): Promise<(() => Promise<void>) | null> {
  await Deno.mkdir(folder);
  const mount = await new Deno.Command("mount", {
    args: ["-t", "tmpfs", "-o", `size=${mebibytes}m`, "tmpfs", folder],
  })
    .output().catch(() => null);
  if (!mount?.success) {
    if (Deno.env.get("CI")) {
      throw new Error("A small file system cannot be mounted; CI runs as root");
    }
    return null;
  }
  return async () => {
    await new Deno.Command("umount", { args: [folder] }).output();
  };
}

/** Writes a file until the disk has only so many bytes left. */
export async function fill(path: string, leave = 0): Promise<void> {
  using file = await Deno.open(path, { write: true, create: true });
  let size = 0;
  for (let part = 65_536; part >= 1;) {
    try {
      size += await file.write(new Uint8Array(part));
    } catch {
      part = Math.floor(part / 2);
    }
  }
  await file.truncate(Math.max(0, size - leave));
}
