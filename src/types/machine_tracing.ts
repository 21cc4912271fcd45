// The spans that Deno exports when it is started with OTEL_DENO=true.

import type { Span, SpanOptions, TraceContext, Tracing } from "./tracing.ts";

/** Deno registers itself for OpenTelemetry's API under this name, if it exports anything. */
const API = Symbol.for("opentelemetry.js.api.1");
/** Under which a context of that API holds its span. */
const SPAN_KEY = Symbol.for("OpenTelemetry Context Key SPAN");
const SAMPLED = 1;
const STATUS_ERROR = 2;

/** What is used of OpenTelemetry's API (@opentelemetry/api 1.9), which Deno implements. */
interface ApiSpan {
  spanContext(): TraceContext;
  setAttributes(attributes: Readonly<Record<string, unknown>>): void;
  updateName(name: string): void;
  setStatus(status: { code: number; message: string }): void;
  end(at?: number): void;
}

interface ApiContext {
  getValue(key: symbol): unknown;
}

interface ApiTracer {
  startSpan(name: string, options: unknown, context?: ApiContext): ApiSpan;
}

/** A context that holds a span which may be of another thread. */
class ParentContext implements ApiContext {
  constructor(readonly parent: TraceContext) {}

  getValue(key: symbol): unknown {
    return key === SPAN_KEY ? this : undefined;
  }

  spanContext(): TraceContext {
    return this.parent;
  }
}

/** The tracing of this process, in any of its threads; null when it exports no traces. */
export function machineTracing(): Tracing | null {
  if (!Object.hasOwn(globalThis, API)) return null;
  const provider = Deno.telemetry.tracerProvider as {
    getTracer(name: string): ApiTracer;
  };
  return new MachineTracing(provider.getTracer("stockflow"));
}

class MachineTracing implements Tracing {
  constructor(readonly tracer: ApiTracer) {}

  start(name: string, { parent, links, attributes, startedAt }: SpanOptions): Span | null {
    if (parent && !isSampled(parent)) return null;
    const options = {
      root: parent === null,
      links: links?.map((context) => ({ context })),
      attributes: attributes && valuesOf(attributes),
      startTime: startedAt,
    };
    const span = this.tracer.startSpan(
      name,
      options,
      parent ? new ParentContext(parent) : undefined,
    );
    // Whether it records is another question: Deno's spans do for as long as they are open.
    return isSampled(span.spanContext()) ? new MachineSpan(span) : null;
  }

  active(): TraceContext | null {
    const context = activeSpan()?.spanContext();
    return context && isSampled(context) ? idsOf(context) : null;
  }

  nameActive(method: string, route: string): void {
    const span = activeSpan();
    span?.updateName(`${method} ${route}`);
    span?.setAttributes({ "http.route": route });
  }
}

class MachineSpan implements Span {
  readonly context: TraceContext;

  constructor(readonly span: ApiSpan) {
    this.context = idsOf(span.spanContext());
  }

  set(attributes: Readonly<Record<string, string | number>>): void {
    this.span.setAttributes(valuesOf(attributes));
  }

  end(failure: string | null = null, at?: number): void {
    if (failure !== null) this.span.setStatus({ code: STATUS_ERROR, message: failure });
    this.span.end(at);
  }
}

function activeSpan(): ApiSpan | undefined {
  const manager = Deno.telemetry.contextManager as { active(): ApiContext };
  return manager.active().getValue(SPAN_KEY) as ApiSpan | undefined;
}

const isSampled = ({ traceFlags }: TraceContext) => (traceFlags & SAMPLED) !== 0;

/** Only that: it is sent to other threads. */
const idsOf = ({ traceId, spanId, traceFlags }: TraceContext): TraceContext => ({
  traceId,
  spanId,
  traceFlags,
});

/** Integers are exported as such when they are BigInts. */
function valuesOf(attributes: Readonly<Record<string, string | number>>): Record<string, unknown> {
  const entries = Object.entries(attributes).map(([key, value]) =>
    [key, Number.isSafeInteger(value) ? BigInt(value) : value] as const
  );
  return Object.fromEntries(entries);
}
