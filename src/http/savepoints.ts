import { Hono } from "hono";
import { z } from "zod";
import type { RunningJob } from "../service/mod.ts";
import { isSavepointName, SAVEPOINT_NAME_RULE } from "../state/mod.ts";
import { fail } from "./answers.ts";
import { parseObject } from "./bodies.ts";
import type { BodyReader } from "./body_reader.ts";

const newSavepoint = z.strictObject({
  name: z.string().refine(isSavepointName, `A name has ${SAVEPOINT_NAME_RULE}`),
});

/** Routes below /savepoints: take, list and give up. */
export function savepointRoutes(job: RunningJob, reader: BodyReader, countMax: number): Hono {
  const app = new Hono();
  app.get("/", async (c) => c.json({ savepoints: await job.ofStore(job.savepoints.list()) }));
  app.post("/", async (c) => {
    const { bytes, share } = await reader.read(c, true);
    share.release();
    const { name } = parseObject(c.req.header("content-type"), bytes, newSavepoint);
    if (await job.ofStore(job.savepoints.count(countMax)) >= countMax) {
      const message =
        `There are ${countMax} savepoints, which is the most (savepoints.max): give one up`;
      return fail(c, 409, "too_many", message);
    }
    const savepoint = await job.takeSavepoint(name);
    return c.json(savepoint, 201, { location: `/savepoints/${name}` });
  });
  app.get("/:name", async (c) => {
    const name = c.req.param("name");
    const savepoint = await job.ofStore(job.savepoints.get(name));
    return savepoint ? c.json(savepoint) : fail(c, 404, "not_found", unknown(name));
  });
  app.delete("/:name", async (c) => {
    const name = c.req.param("name");
    return await job.ofStore(job.savepoints.unpin(name))
      ? c.body(null, 204)
      : fail(c, 404, "not_found", unknown(name));
  });
  return app;
}

function unknown(name: string): string {
  return `There is no savepoint ${JSON.stringify(name)}`;
}
