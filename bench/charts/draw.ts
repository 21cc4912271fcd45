// Draws a chart: a specification of Vega-Lite on standard input, SVG on standard output.
//
//   deno run --allow-read bench/charts/draw.ts < specification.json > chart.svg

// By their names at run time alone: bench/charts/deno.json has the libraries, and a lock file of its own. What is
// checked or started by the top deno.json does not fetch them.
const VEGA: string = "vega";
const VEGA_LITE: string = "vega-lite";

/** What we use of vega-lite. */
interface VegaLite {
  compile(specification: unknown, options: { readonly logger: unknown }): {
    readonly spec: unknown;
  };
}

/** What we use of vega. */
interface Vega {
  parse(specification: unknown): unknown;
  readonly Error: number;
  /** Logs what is at least so serious. */
  logger(level: number): unknown;
  readonly View: new (dataflow: unknown, options: { readonly renderer: "none" }) => {
    toSVG(): Promise<string>;
  };
}

const { compile }: VegaLite = await import(VEGA_LITE);
const { parse, View, logger, Error: errors }: Vega = await import(VEGA);
const specification = JSON.parse(await new Response(Deno.stdin.readable).text());
const view = new View(parse(compile(specification, { logger: logger(errors) }).spec), {
  renderer: "none",
});
console.log(await view.toSVG());
