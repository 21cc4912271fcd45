import { type Context, Hono } from "hono";
import type { RunningJob } from "../service/mod.ts";
import { checkItemId } from "../types/fields.ts";
import { withAny } from "../types/mod.ts";
import { fail, json } from "./answers.ts";

/** Routes that answer the stock of one item: /items/{id}, and /items?id= for ids that no path can have. */
export function itemRoutes(job: RunningJob, stopping: AbortSignal): Hono {
  const app = new Hono();
  const answer = async (c: Context, itemId: string) => {
    checkItemId(itemId);
    // A process that stands by may wait for days.
    const [quantity] = await withAny(
      [stopping, c.req.raw.signal],
      (over) => job.lookUp([itemId], over),
    );
    if (quantity === null || quantity === undefined) {
      return fail(c, 404, "not_found", `Item ${JSON.stringify(itemId)} was never seen`);
    }
    return json(c, 200, `{"itemId":${JSON.stringify(itemId)},"quantity":${quantity}}`);
  };
  app.get("/items/:id", (c) => answer(c, c.req.param("id")));
  app.get("/items/", (c) => answer(c, ""));
  // Clients take /items/. and /items/.. for other paths before they send them.
  app.get("/items", (c) => {
    const id = c.req.query("id");
    return id === undefined
      ? fail(c, 400, "id", "Ask for /items/{id}, or for /items?id={id}")
      : answer(c, id);
  });
  return app;
}
