import type { Clock } from "./clock.ts";

/** How long work may hold up all else that runs in its thread. */
const SLICE_MS = 4;
/** The same while short work waits, which needs several turns of the event loop. */
const SHARED_SLICE_MS = 1;
/** How long everything else has its turn behind a slice meanwhile: long work has a third of the thread. */
const SHARED_PAUSE_MS = 2;
/** Work after which the clock is looked at; about as much as takes half a millisecond. */
const LOOK_UNITS = 32_768;
/** Work after which a slice is over, whatever the clock says. */
const SLICE_UNITS_MAX = 1_048_576;

const OF_CLOCKS = new WeakMap<Clock, Turns>();

/** Gives turns to all long work of a thread, one slice after the other, with a turn of everything else between them. */
export class Turns {
  readonly #waiting: (() => void)[] = [];
  #isRunning = false;
  /** Works under way that are too short to take turns. */
  short = 0;

  /** The turns of the thread that a clock belongs to: whoever does long work there shares them. */
  static of(clock: Clock): Turns {
    const known = OF_CLOCKS.get(clock);
    if (known) return known;
    const turns = new Turns(clock);
    OF_CLOCKS.set(clock, turns);
    return turns;
  }

  private constructor(readonly clock: Clock) {}

  /** How long a slice is now. */
  get sliceMs(): number {
    return this.short > 0 ? SHARED_SLICE_MS : SLICE_MS;
  }

  /** Work that begins now. */
  begin(): Slices {
    return new Slices(this);
  }

  /** Resolves when it is the caller's turn. */
  next(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push(resolve);
    if (!this.#isRunning) void this.#run();
    return promise;
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    while (this.#waiting.length > 0) {
      // Clock.yield lets no connection have its turn: Deno runs what is immediate before it looks at sockets.
      await this.clock.sleep(this.short > 0 ? SHARED_PAUSE_MS : 0);
      this.#waiting.shift()!();
    }
    this.#isRunning = false;
  }
}

/**
 * Cuts long work into slices of a few ms, between which the other events of the thread have their turn. A unit of
 * work is about a byte that is looked at once or twice.
 *
 * ```ts
 * import { systemClock } from "./clock.ts";
 * const slices = Turns.of(systemClock).begin();
 * for (const line of ["a", "b"]) {
 *   if (slices.isDue(line.length)) await slices.next();
 * }
 * ```
 */
export class Slices {
  #units = 0;
  #unlooked = 0;
  /** When the slice began, as far as it was looked: work that is over before never looks at the clock. */
  #from: number | null = null;

  constructor(readonly turns: Turns) {}

  /** Whether the slice is over after so much more work. */
  isDue(units: number): boolean {
    this.#unlooked += units;
    if (this.#unlooked < LOOK_UNITS) return false;
    this.#units += this.#unlooked;
    this.#unlooked = 0;
    const now = this.turns.clock.monotonic();
    this.#from ??= now;
    return this.#units >= SLICE_UNITS_MAX || now - this.#from >= this.turns.sliceMs;
  }

  /** Waits for others, and begins the next slice. */
  async next(): Promise<void> {
    await this.turns.next();
    this.#units = this.#unlooked = 0;
    this.#from = this.turns.clock.monotonic();
  }
}
