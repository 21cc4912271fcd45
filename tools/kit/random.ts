/** A small generator of pseudo-random numbers (sfc32), so that runs compare. */
export class Random {
  #a: number;
  #b: number;
  #c = 0x9e3779b9;
  #count = 1;

  constructor(seed: number) {
    this.#a = seed | 0;
    this.#b = Math.floor(seed / 2 ** 32) | 0;
    for (let i = 0; i < 12; i++) this.#next(); // seeds of few bits are spread
  }

  /** 32 random bits, as a signed integer. */
  #next(): number {
    const sum = (this.#a + this.#b + this.#count++) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return sum;
  }

  /** 64 random bits. */
  bits(): bigint {
    const high = BigInt(this.#next() >>> 0);
    return (high << 32n) | BigInt(this.#next() >>> 0);
  }

  /** A random integer below n, which is 2^53 at the most. */
  below(n: number): number {
    const low = (this.#next() >>> 0) / 2 ** 32;
    if (n <= 2 ** 20) return Math.floor(low * n);
    // 53 bits, so that large numbers are even.
    return Math.floor(((this.#next() >>> 11) + low) / 2 ** 21 * n);
  }
}

/** A seed from the system, to be printed by whoever uses it. */
export function newSeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0]!;
}

/** Seed of the tests, unless their command line names another. */
const SEED_OF_TESTS = 20_261_127;

/**
 * The seed of a test: the same in every run of the gate, so that what fails there fails again. Behind `--`,
 * `deno test` takes another: `--seed=7`, or `--seed=random` for a new one, as `deno task fuzz:tests` does.
 */
export function seedOfTest(): number {
  const given = argument("seed");
  const seed = given === "random" ? newSeed() : Number(given ?? SEED_OF_TESTS);
  if (!Number.isSafeInteger(seed)) throw new RangeError(`--seed is an integer, not ${given}`);
  return seed;
}

/**
 * How often a test tries something, multiplied by `--times=N` behind the `--` of `deno test`.
 *
 * @param few as often without that
 */
export function timesOfTest(n: number, few = n): number {
  const times = Number(argument("times") ?? 1);
  return times === 1 ? few : Math.ceil(n * times);
}

/** Prints what a run with a seed or times of its own is to say; `deno test` alone prints the names of its tests. */
export function sayOfTest(text: string): void {
  if (argument("seed") !== undefined || argument("times") !== undefined) console.log(text);
}

/**
 * Of cases numbered `from` to `to`, `deno test` tries every n-th, and each of them with `--times=N` above 1.
 *
 * @param row of several rows of the same cases: each begins one case later, so that together they try all
 */
export function* casesOfTest(from: number, to: number, n: number, row = 0): Generator<number> {
  const step = timesOfTest(1) > 1 ? 1 : n;
  for (let at = from + row % step; at <= to; at += step) yield at;
}

function argument(name: string): string | undefined {
  const start = `--${name}=`;
  return Deno.args.findLast((arg) => arg.startsWith(start))?.slice(start.length);
}

/** A generator of 32 bits (mulberry32): for inputs by the million, where Random takes too long. */
export class FastRandom {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0;
  }

  /** 32 random bits. */
  bits(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return (t ^ (t >>> 14)) >>> 0;
  }

  /** A random integer below n, which is at most 2^32. */
  below(n: number): number {
    return Math.floor(this.bits() / 2 ** 32 * n);
  }

  /** A number in [0, 1): chance as the engine sees it. */
  fraction(): number {
    return this.bits() / 2 ** 32;
  }

  /** True once in n times. */
  oneIn(n: number): boolean {
    return this.below(n) === 0;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }
}
