// What a series of samples says of its course.

/** Slope of a line through points, by least squares. */
export function slope(points: readonly (readonly [number, number])[]): number {
  const mean = (i: 0 | 1) => points.reduce((n, p) => n + p[i], 0) / points.length;
  const [x, y] = [mean(0), mean(1)];
  const over = points.reduce((n, p) => n + (p[0] - x) * (p[1] - y), 0);
  return over / points.reduce((n, p) => n + (p[0] - x) ** 2, 0);
}

/** Samples that have two quarters in their second half. */
export const SAMPLES_MIN = 4;

/**
 * Medians of the third and the last quarter of at least SAMPLES_MIN samples. What grows without bound
 * grows from one to the other; a pause of the machine, which shows in a few samples, does not move them.
 */
export function lastQuarters(samples: readonly number[]): readonly [number, number] {
  const half = samples.slice(Math.floor(samples.length / 2));
  const middle = Math.floor(half.length / 2);
  return [median(half.slice(0, middle)), median(half.slice(middle))];
}

/** The middle one of at least one number, the lower of two. */
export function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor((numbers.length - 1) / 2)]!;
}
