// A real Prometheus scrapes the real service: every expression of the dashboard answers with series, and the names of
// the metrics follow its conventions. Needs prometheus and promtool (apt-get install prometheus).

import { assert, assertEquals } from "@std/assert";
import dashboard from "../../config/grafana-dashboard.json" with { type: "json" };
import { startService, waitReady } from "../../tools/kit/service.ts";
import { whyNoPrometheus } from "./prometheus.ts";

/** Something for every panel. */
const FLAGS = {
  "event.time": "true",
  "transaction.num.min": "0",
  "transaction.failure.rate.min": "0",
  "checkpoint.interval.millis": "1000",
};

function freePort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  return port;
}

async function post(url: string, path: string, body: string): Promise<void> {
  const headers = { "content-type": "text/plain" };
  const response = await fetch(`${url}${path}`, { method: "POST", body, headers });
  await response.body?.cancel();
}

/** Starts Prometheus, which scrapes a service every second. */
async function startPrometheus(target: string) {
  const folder = await Deno.makeTempDir({ prefix: "stockflow-prometheus-" });
  const port = freePort();
  const config = {
    global: { scrape_interval: "1s" },
    scrape_configs: [{ job_name: "stockflow", static_configs: [{ targets: [target] }] }],
  };
  await Deno.writeTextFile(`${folder}/prometheus.yml`, JSON.stringify(config));
  const child = new Deno.Command("prometheus", {
    args: [
      `--config.file=${folder}/prometheus.yml`,
      `--storage.tsdb.path=${folder}/data`,
      `--web.listen-address=127.0.0.1:${port}`,
    ],
    stdout: "null",
    stderr: "null",
  }).spawn();
  return {
    query: async (expr: string): Promise<unknown[]> => {
      const path = `/api/v1/query?query=${encodeURIComponent(expr)}`;
      const response = await fetch(`http://127.0.0.1:${port}${path}`).catch(() => null);
      if (!response) return [];
      const { status, error, data } = await response.json();
      assertEquals(status, "success", `${expr}: ${error}`);
      return data.result;
    },
    stop: async () => {
      child.kill("SIGTERM");
      await child.status;
      await Deno.remove(folder, { recursive: true });
    },
  };
}

Deno.test({
  name: "every expression of the dashboard answers with series in a real Prometheus",
  ignore: whyNoPrometheus("prometheus") !== null,
}, async () => {
  const service = await startService({ flags: FLAGS });
  await waitReady(service);
  const prometheus = await startPrometheus(new URL(service.url).host);
  const expressions = dashboard.panels.flatMap(({ targets }) => targets).map(({ expr }) =>
    expr.replaceAll("$__rate_interval", "10s").replaceAll(/\$(job|instance)/g, ".*")
  );
  assert(expressions.length > 25);
  let missing = expressions;
  for (let round = 0; round < 60 && missing.length > 0; round++) {
    const ts = 1_700_000_000_000 + 60_000 * round;
    const lines = Array.from({ length: 8 }, (_, i) => `${i}\t${ts}\titem_${i}\t${3 - i}`);
    await post(service.url, "/transactions", lines.join("\n"));
    await post(service.url, "/queries", "1 item_1");
    await new Promise((resolve) => setTimeout(resolve, 1000));
    const answers = await Promise.all(missing.map((expr) => prometheus.query(expr)));
    missing = missing.filter((_, i) => answers[i]!.length === 0);
  }
  assertEquals(missing, []);
  await prometheus.stop();
  await service.kill();
  await Deno.remove(service.folder, { recursive: true });
});

Deno.test({
  name: "promtool finds nothing to say about the metrics",
  ignore: whyNoPrometheus("promtool") !== null,
}, async () => {
  const service = await startService({ flags: FLAGS });
  await waitReady(service);
  await post(service.url, "/transactions", "1\t5\ta\t1\nx");
  const metrics = await (await fetch(`${service.url}/metrics`)).text();
  const child = new Deno.Command("promtool", {
    args: ["check", "metrics"],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(metrics));
  await writer.close();
  const { code, stdout, stderr } = await child.output();
  const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  assertEquals([code, said], [0, ""]);
  await service.kill();
  await Deno.remove(service.folder, { recursive: true });
});
