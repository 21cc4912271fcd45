// Vose's alias method (A Linear Algorithm for Generating Random Numbers with a Given Distribution, IEEE
// TSE 17(9), 1991): draws one of m values with given weights by one random number and one look-up.
//
//   entry, 16 B: 0 threshold u32, 4 own value u32, 8 other value u32
//   while the table is built: 0 weight f64, 8 value u32

import { allocatePages } from "./memory";

export const ALIAS_BYTES: usize = 16;

/** Room for m values. */
export function allocateAliases(m: u32): usize {
  return allocatePages(<usize> m * ALIAS_BYTES);
}

/** Adds the i-th value. */
@inline
export function addAlias(table: usize, i: u32, value: u32, weight: f64): void {
  const entry = table + <usize> i * ALIAS_BYTES;
  store<f64>(entry, weight);
  store<u32>(entry, value, 8);
}

/** Builds the table out of m added values; `work` has 4 bytes for each. */
export function buildAliases(table: usize, m: u32, work: usize): void {
  let sum: f64 = 0;
  for (let i: u32 = 0; i < m; i++) sum += load<f64>(table + <usize> i * ALIAS_BYTES);
  const scale = <f64> m / sum;
  // Values lighter than the mean are stacked from below, the others from above.
  let light = work, heavy = work + (<usize> m << 2);
  for (let i: u32 = 0; i < m; i++) {
    const entry = table + <usize> i * ALIAS_BYTES;
    const weight = load<f64>(entry) * scale;
    store<f64>(entry, weight);
    if (weight < 1) {
      store<u32>(light, <u32> entry);
      light += 4;
    } else {
      heavy -= 4;
      store<u32>(heavy, <u32> entry);
    }
  }
  const end = work + (<usize> m << 2);
  while (light > work && heavy < end) {
    light -= 4;
    const small = <usize> load<u32>(light), large = <usize> load<u32>(heavy);
    const weight = load<f64>(small), rest = load<f64>(large) + weight - 1;
    finish(small, weight, load<u32>(large, 8));
    store<f64>(large, rest);
    if (rest >= 1) continue;
    heavy += 4;
    store<u32>(light, <u32> large);
    light += 4;
  }
  // What is left has the mean weight, but for rounding.
  while (light > work) {
    light -= 4;
    finishAlone(<usize> load<u32>(light));
  }
  for (; heavy < end; heavy += 4) finishAlone(<usize> load<u32>(heavy));
}

function finish(entry: usize, weight: f64, other: u32): void {
  const own = load<u32>(entry, 8);
  store<u32>(entry, <u32> (weight * 4294967296.0));
  store<u32>(entry, own, 4);
  store<u32>(entry, other, 8);
}

function finishAlone(entry: usize): void {
  const own = load<u32>(entry, 8);
  store<u32>(entry, u32.MAX_VALUE);
  store<u32>(entry, own, 4);
  store<u32>(entry, own, 8);
}

/** Draws a value out of m by 64 random bits. */
@inline
export function drawAlias(table: usize, m: u32, random: u64): u32 {
  const entry = table + <usize> (((random >> 32) * <u64> m) >> 32) * ALIAS_BYTES;
  return <u32> random < load<u32>(entry) ? load<u32>(entry, 4) : load<u32>(entry, 8);
}
