// The page for people: built files that are served as they are. They carry no data, so they need no token.

import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import { type Context, Hono } from "hono";
import html from "./page/index.html" with { type: "text" };
import script from "./page/app.js" with { type: "text" };
import style from "./page/app.css" with { type: "text" };
import icon from "./page/icon.svg" with { type: "text" };

interface Asset {
  readonly text: string;
  readonly contentType: string;
}

/** By path. */
const ASSETS: Readonly<Record<string, Asset>> = {
  "/": { text: html, contentType: "text/html; charset=utf-8" },
  "/page/app.js": { text: script, contentType: "text/javascript; charset=utf-8" },
  "/page/app.css": { text: style, contentType: "text/css; charset=utf-8" },
  "/page/icon.svg": { text: icon, contentType: "image/svg+xml" },
};

/** Nothing from elsewhere, nothing inline, in no frame. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
].join("; ");

/** Whether a request is for the page, which is open to everyone. */
export function isPage({ req }: Context): boolean {
  return Object.hasOwn(ASSETS, req.path) && (req.method === "GET" || req.method === "HEAD");
}

/** An asset as it is sent. */
interface Prepared {
  readonly tag: string;
  readonly zipped: Uint8Array<ArrayBuffer>;
}

/** By path; made when it is asked for first. */
const prepared = new Map<string, Prepared>();

function prepare(path: string, text: string): Prepared {
  let asset = prepared.get(path);
  if (!asset) {
    const tag = `"${createHash("sha256").update(text).digest("base64url").slice(0, 22)}"`;
    asset = { tag, zipped: new Uint8Array(gzipSync(text)) };
    prepared.set(path, asset);
  }
  return asset;
}

/** Browsers ask for HTML by name; programs get the index of the API as text. */
function wantsHtml(c: Context): boolean {
  return /\btext\/html\b/i.test(c.req.header("accept") ?? "");
}

/** @param index what programs get at / */
export function pageRoutes(index: string): Hono {
  const app = new Hono();
  app.get("/", (c) => {
    c.header("vary", "accept");
    return wantsHtml(c) ? answer(c, "/") : c.text(index);
  });
  for (const path of Object.keys(ASSETS)) if (path !== "/") app.get(path, (c) => answer(c, path));
  return app;
}

function answer(c: Context, path: string): Response {
  const { text, contentType } = ASSETS[path]!;
  const { tag, zipped } = prepare(path, text);
  const headers = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    // A newer version is seen at once; what has not changed is not sent again.
    "cache-control": "no-cache",
    etag: tag,
    vary: path === "/" ? "accept, accept-encoding" : "accept-encoding",
  };
  const known = (c.req.header("if-none-match") ?? "").split(",")
    .map((given) => given.trim().replace(/^W\//, ""));
  if (known.includes(tag)) return c.body(null, 304, headers);
  const whole = { ...headers, "content-type": contentType };
  return /\bgzip\b(?!;\s*q=0(?:\.0*)?\s*(?:,|$))/.test(c.req.header("accept-encoding") ?? "")
    ? c.body(zipped, 200, { ...whole, "content-encoding": "gzip" })
    : c.body(text, 200, whole);
}
