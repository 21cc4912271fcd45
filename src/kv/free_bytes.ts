import { statfs } from "node:fs/promises";
import { dirname } from "node:path";

/** Free bytes for this process of the disk of a file, which need not be there yet. */
export async function freeBytes(path: string): Promise<number> {
  for (let folder = dirname(path);; folder = dirname(folder)) {
    try {
      const { bavail, bsize } = await statfs(folder);
      return bavail * bsize;
    } catch (error) {
      const isThere = (error as { code?: string }).code !== "ENOENT";
      if (isThere || folder === dirname(folder)) throw error;
    }
  }
}
