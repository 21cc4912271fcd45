// compose.yaml and the manifests of Kubernetes: by their schemas, and by what they name. Needs python3 with venv, into
// which the programs that know the schemas are installed; without it they are skipped, in CI that is a failure.

import { assert, assertEquals, assertMatch } from "@std/assert";
import denoJson from "../../deno.json" with { type: "json" };
import { lintCompose, lintKubernetes, readYaml, whyNoLint } from "../../tools/deploy/lint.ts";
import {
  environmentName,
  PARAMETER_KEYS,
  PARAMETERS,
} from "../../src/parameters/parameter_table.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
const MANIFESTS = `${ROOT}config/kubernetes`;
/** In the image, of Debian's user deno. */
const USER = 1993;
const STOP_S = Number(PARAMETERS["shutdown.timeout.ms"].default) / 1000;
const VARIABLES = new Set(PARAMETER_KEYS.map(environmentName));

const skipped = await whyNoLint();
function test(name: string, fn: () => Promise<void>): void {
  Deno.test({ name: skipped ? `${name}: ${skipped}` : name, ignore: skipped !== null, fn });
}

/** Variables that are not parameters: misspelt ones would be passed over in silence. */
const unknownOf = (names: Iterable<string>) =>
  [...names].filter((name) =>
    !VARIABLES.has(name) && !name.startsWith("POD_NAME") && name !== "DENO_KV_ACCESS_TOKEN"
  );

test("compose.yaml: valid by its schema; what it names is there, and is what the image and the service have", async () => {
  assertEquals(await lintCompose(`${ROOT}compose.yaml`), "");
  const [{ services, volumes, secrets }] = await readYaml(`${ROOT}compose.yaml`);
  for (const [name, service] of Object.entries<Record<string, unknown>>(services)) {
    const { image, volumes: mounts = [], secrets: taken = [] } = service;
    assertMatch(image as string, /:[\w.-]*\d/, `${name}: its version is named`);
    for (const mount of mounts as string[]) {
      const [from] = mount.split(":");
      if (from!.startsWith(".")) assert((await Deno.stat(`${ROOT}${from}`)).isFile, from);
      else assert(from! in volumes, `${name}: there is no volume ${from}`);
    }
    for (const secret of taken as string[]) assert(secret in secrets, secret);
  }
  const ours = Object.entries<Record<string, unknown>>(services)
    .filter(([name]) => name.startsWith("stockflow"));
  assertEquals(ours.length, 3);
  for (const [name, service] of ours) {
    assertEquals(service.image, `stockflow:${denoJson.version}`);
    assertEquals([service.read_only, service.cap_drop], [true, ["ALL"]]);
    assert(Number.parseInt(service.stop_grace_period as string) > STOP_S);
    const environment = service.environment as Record<string, string>;
    assertEquals(unknownOf(Object.keys(environment)), []);
    assertEquals(environment.HTTP_ADVERTISED_HOST, name);
    const [file] = service.env_file as string[];
    const lines = (await Deno.readTextFile(`${ROOT}${file}`)).split("\n");
    const names = lines.filter((line) => /^[^#]/.test(line)).map((line) => line.split("=")[0]!);
    assertEquals(unknownOf(names), []);
  }
  const [prometheus] = await readYaml(`${ROOT}config/compose/prometheus.yml`);
  const [{ job_name, static_configs: [{ targets }] }] = prometheus.scrape_configs;
  // Our alerts look at the scrape job of this name.
  assertEquals([job_name, targets], ["stockflow", ours.map(([name]) => `${name}:8080`)]);
});

test("config/kubernetes: valid by the schemas of Kubernetes; probes, user and resources are those of the service", async () => {
  const names = [...Deno.readDirSync(MANIFESTS)].map(({ name }) => name).sort();
  const [kustomization] = await readYaml(`${MANIFESTS}/kustomization.yaml`);
  const manifests = names.filter((name) => name !== "kustomization.yaml");
  assertEquals(kustomization.resources, manifests);
  assertEquals(await lintKubernetes(manifests.map((name) => `${MANIFESTS}/${name}`)), "");
  const all = (await Promise.all(manifests.map((name) => readYaml(`${MANIFESTS}/${name}`)))).flat();
  // The store of checkpoints has its own.
  const ours = all.filter(({ metadata: { labels } }) =>
    labels["app.kubernetes.io/name"] === "stockflow"
  );
  const byKind = new Map(ours.map((object) => [object.kind, object]));
  const set = byKind.get("StatefulSet");
  const { spec } = set.spec.template;
  const [container] = spec.containers;

  assertEquals(container.image, `stockflow:${denoJson.version}`);
  const [sleep, before] = container.lifecycle.preStop.exec.command;
  assertEquals(sleep, "sleep");
  assert(spec.terminationGracePeriodSeconds > STOP_S + Number(before));
  // With it a rollout rotates the token of clients, and the pods go on asking each other.
  for (
    const [name, key, optional] of [
      ["HTTP_TOKEN", "http-token", undefined],
      ["HTTP_TOKEN_FORMER", "http-token-former", true],
      ["CLUSTER_TOKEN", "cluster-token", undefined],
    ] as const
  ) {
    const { valueFrom } = container.env.find((e: { name: string }) => e.name === name);
    assertEquals([valueFrom.secretKeyRef.key, valueFrom.secretKeyRef.optional], [key, optional]);
  }
  // Clients in other namespaces are answered with it; what it is made of is named before it.
  const own = container.env.find(({ name }: { name: string }) => name === "HTTP_ADVERTISED_HOST");
  assertEquals(own.value, "$(POD_NAME).stockflow-pods.$(POD_NAMESPACE).svc");
  for (const used of ["POD_NAME", "POD_NAMESPACE"]) {
    const at = container.env.findIndex(({ name }: { name: string }) => name === used);
    assert(at >= 0 && at < container.env.indexOf(own), used);
  }
  assertEquals(
    [spec.securityContext.runAsNonRoot, spec.securityContext.runAsUser],
    [true, USER],
  );
  assertEquals(container.securityContext.readOnlyRootFilesystem, true);
  assertEquals(container.resources.requests.memory, container.resources.limits.memory);
  const variables = container.env.map(({ name }: { name: string }) => name);
  assertEquals(unknownOf([...variables, ...Object.keys(byKind.get("ConfigMap").data)]), []);
  // test/http/api_test.ts and test/kafka/processes_test.ts ask them.
  assertEquals(
    [container.startupProbe, container.livenessProbe, container.readinessProbe]
      .map(({ httpGet: { path } }) => path),
    ["/livez", "/livez", "/readyz?for=stand-by"],
  );

  // Everything selects the pods by the labels that they have.
  const labels = set.spec.template.metadata.labels;
  for (
    const selector of [
      set.spec.selector.matchLabels,
      byKind.get("PodDisruptionBudget").spec.selector.matchLabels,
      byKind.get("NetworkPolicy").spec.podSelector.matchLabels,
      ...ours.filter(({ kind }) => kind === "Service").map(({ spec }) => spec.selector),
    ]
  ) assertEquals(selector, labels);
  const headless = ours.find(({ spec }) => spec?.clusterIP === "None");
  assertEquals(set.spec.serviceName, headless.metadata.name);
  // A process asks another one also while that one is not ready.
  assertEquals(headless.spec.publishNotReadyAddresses, true);
});

Deno.test("config/stockflow.service starts the bundle's launcher, gives it time to stop, and tries no start again that is in vain", async () => {
  const text = await Deno.readTextFile(`${ROOT}config/stockflow.service`);
  const of = (key: string) => new RegExp(`^${key}=(.*)$`, "m").exec(text)?.[1];
  assertEquals(of("ExecStart"), "/opt/stockflow/stockflow start");
  assert(Number(of("TimeoutStopSec")) > STOP_S);
  // Of src/cli/arguments.ts: only a person can help.
  assertEquals([of("Restart"), of("RestartPreventExitStatus")], ["on-failure", "2"]);
  assertEquals(of("WorkingDirectory"), `/var/lib/${of("StateDirectory")}`);
  assertEquals(of("Environment"), `DENO_DIR=/var/cache/${of("CacheDirectory")}`);
});
