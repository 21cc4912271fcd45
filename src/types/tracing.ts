// Spans of OpenTelemetry, as the engine makes them. Deno itself exports them, and decides which traces are sampled
// (OTEL_DENO, OTEL_TRACES_SAMPLER); where it does not, there is no Tracing, and whoever would make spans has null.

/** Names a span to those that it leads to, also in another thread (W3C Trace Context). */
export interface TraceContext {
  readonly traceId: string;
  readonly spanId: string;
  /** 1 = the trace is sampled */
  readonly traceFlags: number;
}

/** Offsets of a partition whose records came with a trace: from the first up to below `to`. */
export interface TracedOffsets {
  readonly from: number;
  readonly to: number;
  /** When the records were appended or asked for, in ms since the epoch. */
  readonly at: number;
  readonly context: TraceContext;
}

export interface SpanOptions {
  /** Null: a trace of its own begins. */
  readonly parent: TraceContext | null;
  /** Further spans that it serves. */
  readonly links?: readonly TraceContext[];
  readonly attributes?: Readonly<Record<string, string | number>>;
  /** In ms since the epoch; now by default. */
  readonly startedAt?: number;
}

export interface Span {
  readonly context: TraceContext;
  set(attributes: Readonly<Record<string, string | number>>): void;
  /**
   * Ends it.
   *
   * @param failure why what it stands for failed; null = it did not
   * @param at in ms since the epoch; now by default
   */
  end(failure?: string | null, at?: number): void;
}

export interface Tracing {
  /** Begins a span; null when its trace is not sampled. */
  start(name: string, options: SpanOptions): Span | null;
  /** The span of the request that is being answered here; null when there is none, or it is not sampled. */
  active(): TraceContext | null;
  /** Names the span of that request by its route, such as GET /items/:id. */
  nameActive(method: string, route: string): void;
}

/** Links of one span, at the most. */
const LINKS_MAX = 100;

/**
 * Begins a span that serves others: it belongs to the trace of the first of them, is linked to all, and is sampled if
 * one of them is.
 */
export function startServing(
  tracing: Tracing,
  name: string,
  served: readonly TraceContext[],
  options: Omit<SpanOptions, "parent" | "links"> = {},
): Span | null {
  return tracing.start(name, {
    ...options,
    parent: served[0] ?? null,
    links: served.slice(0, LINKS_MAX),
  });
}

/**
 * Ends a span as soon as the work that it stands for is done.
 *
 * @param failureOf why a value of the work stands for a failure; null = it does not
 */
export function endWith<T>(
  span: Span,
  work: Promise<T>,
  failureOf: (value: T) => string | null = () => null,
): void {
  work.then((value) => span.end(failureOf(value)), (error) => span.end((error as Error).message));
}

/**
 * Makes a span of each part of a work, which begins where the one before ended.
 *
 * @param parent the span of the whole
 * @param from when the work began, and the parts ended, in ms of any clock
 * @param offset from that clock to ms since the epoch
 */
export function tracePartsOf(
  tracing: Tracing,
  { context: parent }: Span,
  { from, offset }: { readonly from: number; readonly offset: number },
  parts: readonly (readonly [name: string, endedAt: number])[],
): void {
  for (const [name, endedAt] of parts) {
    tracing.start(name, { parent, startedAt: offset + from })?.end(null, offset + endedAt);
    from = endedAt;
  }
}

/** Traced offsets whose records wait for something, such as for the commit of what was folded of them. */
export class TracedQueue {
  #waiting: TracedOffsets[] = [];

  /** @param max the oldest are forgotten beyond so many */
  constructor(readonly max = 1000) {}

  add(more: readonly TracedOffsets[]): void {
    this.#waiting.push(...more);
    if (this.#waiting.length > this.max) this.#waiting = this.#waiting.slice(-this.max);
  }

  /** Those of which a record lies within an interval, from its first offset up to below its end. */
  within(from: number, to: number): TracedOffsets[] {
    return this.#waiting.filter((traced) => traced.from < to && traced.to > from);
  }

  /** Those of which a record lies below an offset; they stay as long as others lie at it or above. */
  take(offset: number): TracedOffsets[] {
    const taken = this.within(-Infinity, offset);
    if (taken.length > 0) this.#waiting = this.#waiting.filter(({ to }) => to > offset);
    return taken;
  }
}
