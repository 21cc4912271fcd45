// What the tables of bench/RESULTS.md are made of.

function line(cells: readonly string[]): string {
  return `| ${cells.join(" | ")} |`;
}

/** A table of Markdown; `deno fmt` aligns it. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, head.map(() => "---"), ...rows].map(line).join("\n");
}

export const fixed = (digits: number) => (n: number): string => n.toFixed(digits);
export const gibibytes = (n: number): string => `${(n / 2 ** 30).toFixed(2)} GiB`;
export const milliseconds = (n: number): string =>
  n < 1000 ? n.toFixed(1) : Math.round(n).toString();

/** How many times as much: whole numbers from 10 on. */
export const ratio = (n: number): string => {
  const text = n.toFixed(1);
  return Number(text) < 10 ? text : n.toFixed(0);
};

/** A count or a rate in three figures: 950, 12.5 k, 3.10 M. */
export function short(n: number): string {
  const [unit, name] = n >= 1e6 ? [1e6, " M"] : n >= 1e3 ? [1e3, " k"] : [1, ""];
  return `${Number((n / unit).toPrecision(3))}${name}`;
}
