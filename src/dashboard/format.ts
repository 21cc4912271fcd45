// Figures in the reader's locale.

const NONE = "–";

const integers = new Intl.NumberFormat(undefined, { maximumFractionDigits: 0 });
const decimals = new Intl.NumberFormat(undefined, { maximumSignificantDigits: 3 });
const ratios = new Intl.NumberFormat(undefined, {
  minimumFractionDigits: 2,
  maximumFractionDigits: 2,
});
const percents = new Intl.NumberFormat(undefined, {
  style: "percent",
  minimumFractionDigits: 2,
  maximumFractionDigits: 2,
});
const wholePercents = new Intl.NumberFormat(undefined, {
  style: "percent",
  maximumFractionDigits: 0,
});
const compacts = new Intl.NumberFormat(undefined, {
  notation: "compact",
  maximumSignificantDigits: 3,
});
const times = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const moments = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const ago = new Intl.RelativeTimeFormat(undefined, { numeric: "auto", style: "short" });

export function integer(n: number | null): string {
  return n === null ? NONE : integers.format(n);
}

/** An integer of any length, given by its digits. */
export function bigInteger(digits: string): string {
  return integers.format(BigInt(digits));
}

/** Few digits, with K or M where it is large. */
export function compact(n: number | null): string {
  return n === null ? NONE : compacts.format(n);
}

/** A rate: whole above ten, few digits below. */
export function rate(perSecond: number | null): string {
  if (perSecond === null) return NONE;
  return perSecond >= 10 ? integers.format(perSecond) : decimals.format(perSecond);
}

export function ratio(n: number | null): string {
  return n === null ? NONE : ratios.format(n);
}

export function percent(share: number | null): string {
  return share === null ? NONE : percents.format(share);
}

export function wholePercent(share: number): string {
  return wholePercents.format(share);
}

const BYTE_UNITS = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"] as const;
const byteFormats = BYTE_UNITS.map((unit) =>
  new Intl.NumberFormat(undefined, {
    style: "unit",
    unit,
    unitDisplay: unit === "byte" ? "long" : "short",
    maximumSignificantDigits: 3,
  })
);

/** Bytes in decimal units. */
export function bytes(n: number | null): string {
  if (n === null) return NONE;
  const power = Math.min(
    BYTE_UNITS.length - 1,
    Math.max(0, Math.floor(Math.log10(Math.max(1, n)) / 3)),
  );
  return byteFormats[power]!.format(n / 1000 ** power);
}

/** A duration, in the unit that fits; their symbols are the same in every language. */
export function duration(ms: number | null): string {
  if (ms === null) return NONE;
  if (ms < 1000) return `${decimals.format(Math.round(ms * 10) / 10)} ms`;
  if (ms < 120_000) return `${decimals.format(ms / 1000)} s`;
  return ms < 7_200_000
    ? `${decimals.format(ms / 60_000)} min`
    : `${decimals.format(ms / 3_600_000)} h`;
}

export function time(at: number): string {
  return times.format(at);
}

export function moment(at: number | null): string {
  return at === null ? NONE : moments.format(at);
}

/** How long ago, as in "2 min. ago". */
export function since(at: number | null, now: number): string {
  if (at === null) return NONE;
  const s = Math.min(0, Math.round((at - now) / 1000));
  if (s > -60) return ago.format(s, "second");
  if (s > -7200) return ago.format(Math.round(s / 60), "minute");
  return s > -172_800
    ? ago.format(Math.round(s / 3600), "hour")
    : ago.format(Math.round(s / 86_400), "day");
}
