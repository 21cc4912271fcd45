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
