// What is answered to HEAD, to methods that a path does not take, and to paths that are not well-formed.

import type { Context, Hono, MiddlewareHandler } from "hono";
import { type Check, fail } from "./answers.ts";

/** To be called behind all routes: other methods of their paths are answered 405, and OPTIONS with what there is. */
export function answerOtherMethods(app: Hono): void {
  const routes = app.routes.filter(({ method, path }) => method !== "ALL" && path !== "/*");
  for (const [path, ofPath] of Map.groupBy(routes, (route) => route.path)) {
    const methods = new Set(ofPath.map(({ method }) => method));
    if (methods.has("GET")) methods.add("HEAD");
    methods.add("OPTIONS");
    const allowed = [...methods].toSorted().join(", ");
    app.all(path, (c) => {
      c.header("allow", allowed);
      if (c.req.method === "OPTIONS") return c.body(null, 204);
      return fail(c, 405, "method", `${c.req.path} takes ${allowed}, not ${c.req.method}`);
    });
  }
}

/**
 * Says in the answer to HEAD how long that to GET is; without this it would say that there is nothing. Hono answers HEAD
 * by the routes of GET.
 */
export const headLengths: MiddlewareHandler = async (c, next) => {
  await next();
  if (c.req.method !== "HEAD" || c.res.body === null) return;
  let length = 0;
  for await (const piece of c.res.body) length += piece.length;
  c.res = new Response(null, c.res);
  c.header("content-length", String(length));
};

/** The path and the query of a request as they were sent. */
function targetOf(c: Context): string {
  return c.req.raw.url.replace(/^[a-z]+:\/\/[^/?#]*/i, "");
}

/** Refuses paths and queries whose percent-encoding is broken, or no UTF-8: they would name something else. */
export const wellFormedOnly: Check = (c) => {
  try {
    if (c.req.raw.url.includes("%")) decodeURIComponent(targetOf(c));
  } catch {
    return fail(c, 400, "path", "The path must be percent-encoded UTF-8 (%25 for a %)");
  }
  return null;
};
