// Pairs of measurements in turn: on a noisy machine their ratios say more than two means do.

/** Of at least one ratio. */
export function medianOf(ratios: readonly number[]): number {
  return Number(quantile([...ratios].sort((a, b) => a - b), 0.5));
}

/**
 * The median of ratios (own : other), and what lies between their quarters.
 *
 * @param ratios at least one
 * @param of what was measured
 * @param sides what was held against what
 */
export function describeRatios(
  ratios: readonly number[],
  of = "CPU",
  sides = "this checkout : the other",
): string {
  const sorted = [...ratios].sort((a, b) => a - b);
  return `${ratios.length} pairs, ${of} of ${sides} ${quantile(sorted, 0.5)} ` +
    `(quarters ${quantile(sorted, 0.25)} to ${quantile(sorted, 0.75)})`;
}

/** Between two values in proportion (Hyndman and Fan, 1996, type 7). */
function quantile(sorted: readonly number[], share: number): string {
  const at = share * (sorted.length - 1);
  const below = sorted[Math.floor(at)]!;
  return (below + (at % 1) * (sorted[Math.ceil(at)]! - below)).toFixed(3);
}
