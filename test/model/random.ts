/** A small generator of pseudo-random numbers (xorshift128+), so that runs compare. */
export class Random {
  #a = 0x9e3779b97f4a7c15n;
  #b: bigint;

  constructor(seed: number) {
    this.#b = BigInt(seed) * 0xd6e8feb86659fd93n + 1n;
  }

  /** 64 random bits. */
  bits(): bigint {
    let x = this.#a;
    const y = this.#b;
    this.#a = y;
    x = BigInt.asUintN(64, x ^ (x << 23n));
    this.#b = x ^ y ^ (x >> 17n) ^ (y >> 26n);
    return BigInt.asUintN(64, this.#b + y);
  }

  /** A random integer below n. */
  below(n: number): number {
    return Number(this.bits() % BigInt(n));
  }
}

/** A seed from the system, to be printed by whoever uses it. */
export function newSeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0]!;
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

  /** True once in n times. */
  oneIn(n: number): boolean {
    return this.below(n) === 0;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }
}
