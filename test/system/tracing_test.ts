// The spans of the real service, with threads, as Deno exports them to a receiver of the test.

import { assert, assertEquals } from "@std/assert";
import { startService, stopInGoodOrder, waitReady } from "../../tools/kit/service.ts";

interface OtlpSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly name: string;
  readonly links: readonly { readonly traceId: string; readonly spanId: string }[];
  readonly attributes: readonly { readonly key: string; readonly value: object }[];
}

/** Takes what is exported by OTLP over HTTP as JSON. */
class Receiver {
  readonly spans: OtlpSpan[] = [];
  readonly types = new Set<string | null>();
  readonly #server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, async (r) => {
    const body = await r.json();
    if (new URL(r.url).pathname === "/v1/traces") {
      this.types.add(r.headers.get("content-type"));
      for (const { scopeSpans } of body.resourceSpans) {
        for (const { spans } of scopeSpans) this.spans.push(...spans);
      }
    }
    return Response.json({});
  });

  get env(): Record<string, string> {
    return {
      OTEL_DENO: "true",
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${this.#server.addr.port}`,
      OTEL_BSP_SCHEDULE_DELAY: "100",
    };
  }

  named(name: string): OtlpSpan[] {
    return this.spans.filter((span) => span.name === name);
  }

  childOf({ spanId }: OtlpSpan, name: string): OtlpSpan | undefined {
    return this.named(name).find(({ parentSpanId }) => parentSpanId === spanId);
  }

  async until(what: string, isThere: () => boolean): Promise<void> {
    for (let looks = 0; !isThere(); looks++) {
      assert(looks < 600, `${what} in ${this.spans.map(({ name }) => name)}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  async close(): Promise<void> {
    await this.#server.shutdown();
  }
}

const TRACE = "0af7651916cd43dd8448eb211c80319c";

async function post(url: string, headers: Record<string, string> = {}): Promise<void> {
  const answer = await fetch(`${url}/transactions`, {
    method: "POST",
    headers: { "content-type": "text/plain", ...headers },
    body: "1\t1700000000000\titem_2\t100\n",
  });
  assertEquals([answer.status, await answer.text()], [
    200,
    "1\t1700000000000\titem_2\t100\ttrue\n",
  ]);
}

Deno.test("a client's trace goes on through the log and the worker's thread to the commit; permissions are those of deno task start", async () => {
  const receiver = new Receiver();
  const service = await startService({
    flags: { "checkpoint.interval.millis": "500" },
    env: receiver.env,
    permissions: "start",
  });
  await waitReady(service);
  await post(service.url, { traceparent: `00-${TRACE}-b7ad6b7169203331-01` });
  await post(service.url);
  await receiver.until("two posts, their commit and a checkpoint", () => {
    const linked = receiver.named("commit").flatMap(({ links }) => links.map((l) => l.spanId));
    const appends = receiver.named("append");
    return appends.length === 2 && appends.every(({ spanId }) => linked.includes(spanId)) &&
      receiver.named("POST /transactions").length === 2 &&
      receiver.named("checkpoint").length > 0;
  });
  assertEquals([...receiver.types], ["application/json"]);
  const request = receiver.named("POST /transactions").find((s) => s.traceId === TRACE)!;
  const append = receiver.childOf(request, "append")!;
  const fetched = receiver.childOf(append, "fetch")!;
  const folded = receiver.childOf(fetched, "fold")!;
  assertEquals(folded.traceId, TRACE);
  const offset = folded.attributes.find(({ key }) => key === "offset");
  assertEquals(offset?.value, { intValue: "0" });
  const commit = receiver.named("commit").find(({ links }) =>
    links.some(({ spanId }) => spanId === append.spanId)
  )!;
  await receiver.until("the write of the commit on the control plane", () => {
    return receiver.childOf(commit, "log write") !== undefined;
  });
  const [checkpoint] = receiver.named("checkpoint");
  for (const part of ["encode", "wait for commit", "publish"]) {
    assert(receiver.childOf(checkpoint!, part), part);
  }
  await stopInGoodOrder(service);
  await receiver.close();
  await Deno.remove(service.folder, { recursive: true });
});

Deno.test("what the sampler leaves out is not exported, of no thread", async () => {
  const receiver = new Receiver();
  const service = await startService({
    flags: { "checkpoint.interval.millis": "500" },
    env: { ...receiver.env, OTEL_TRACES_SAMPLER: "parentbased_always_off" },
  });
  await waitReady(service);
  for (let n = 0; n < 5; n++) await post(service.url);
  await post(service.url, { traceparent: `00-${TRACE}-b7ad6b7169203331-01` });
  const names = ["POST /transactions", "append", "commit", "fetch", "fold", "log write"];
  await receiver.until("the spans of the sampled post", () => {
    return names.every((name) => receiver.named(name).length > 0);
  });
  await stopInGoodOrder(service); // whatever else there is is exported at the end
  assertEquals(receiver.spans.map(({ name }) => name).toSorted(), names);
  assertEquals(new Set(receiver.spans.map(({ traceId }) => traceId)), new Set([TRACE]));
  await receiver.close();
  await Deno.remove(service.folder, { recursive: true });
});
