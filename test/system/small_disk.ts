// A disk that can be full.

/** A small file system of its own, or null where it cannot be mounted. */
export async function mountSmall(folder: string): Promise<(() => Promise<void>) | null> {
  await Deno.mkdir(folder);
  const mount = await new Deno.Command("mount", {
    args: ["-t", "tmpfs", "-o", "size=12m", "tmpfs", folder],
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
