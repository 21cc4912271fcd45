import type { Clock, Span, SpanOptions, TraceContext, Tracing } from "../../src/types/mod.ts";

export interface RecordedSpan extends SpanOptions {
  readonly name: string;
  readonly context: TraceContext;
  attributes: Readonly<Record<string, string | number>>;
  /** Null while it is open. */
  endedAt: number | null;
  failure: string | null;
}

/** Tracing that keeps its spans. */
export class RecordedTracing implements Tracing {
  readonly spans: RecordedSpan[] = [];
  /** The request that is being answered. */
  request: TraceContext | null = null;
  /** Whether traces that begin here are sampled. */
  samples = true;
  #count = 0;

  constructor(readonly clock: Clock) {}

  /** A new trace, as a client's request begins it. */
  newRequest(): TraceContext {
    return this.request = this.#contextIn(`trace-${++this.#count}`);
  }

  #contextIn(traceId: string): TraceContext {
    return { traceId, spanId: `span-${++this.#count}`, traceFlags: 1 };
  }

  start(name: string, options: SpanOptions): Span | null {
    if (!options.parent && !this.samples) return null;
    const recorded: RecordedSpan = {
      ...options,
      name,
      context: this.#contextIn(options.parent?.traceId ?? `trace-${++this.#count}`),
      attributes: options.attributes ?? {},
      endedAt: null,
      failure: null,
    };
    this.spans.push(recorded);
    return {
      context: recorded.context,
      set: (attributes) => recorded.attributes = { ...recorded.attributes, ...attributes },
      end: (failure = null, at) => {
        recorded.endedAt = at ?? this.clock.now();
        recorded.failure = failure;
      },
    };
  }

  active(): TraceContext | null {
    return this.request;
  }

  nameActive(): void {}

  named(name: string): RecordedSpan[] {
    return this.spans.filter((span) => span.name === name);
  }
}
