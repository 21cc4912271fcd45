// Calls between threads, typed by contracts: an interface whose members are the calls that one side answers, as
// functions of what they take to what they answer.

export type ArgumentsOf<F> = F extends (...args: infer A) => unknown ? A : never;
export type AnswerOf<F> = F extends (...args: never[]) => infer R ? R : never;

/** Buffers of an answer that need not be copied. */
export class Transferred<T> {
  constructor(readonly value: T, readonly buffers: ArrayBuffer[]) {}
}

type Answer<R> = R | Transferred<R>;

/** What answers the calls of a contract; the signal is aborted when the caller no longer wants the answer. */
export type Methods<C> = {
  readonly [K in keyof C]: (
    args: ArgumentsOf<C[K]>,
    signal: AbortSignal,
  ) => Answer<AnswerOf<C[K]>> | Promise<Answer<AnswerOf<C[K]>>>;
};

/** The methods of some contract. */
export type AnyMethods = Readonly<Record<string, (args: never, signal: AbortSignal) => unknown>>;

export interface CallOptions {
  /** Buffers of the arguments that need not be copied. */
  readonly transfer?: ArrayBuffer[];
  /** The answer is no longer wanted. */
  readonly signal?: AbortSignal | undefined;
}

/** Calls what the other side answers by its contract. */
export interface Caller<C> {
  /** @throws {LostError} when the other side is gone */
  call<K extends keyof C & string>(
    method: K,
    args: ArgumentsOf<C[K]>,
    options?: CallOptions,
  ): Promise<AnswerOf<C[K]>>;
  /** The same without an answer. */
  notify<K extends keyof C & string>(
    method: K,
    args: ArgumentsOf<C[K]>,
    transfer?: ArrayBuffer[],
  ): void;
}
