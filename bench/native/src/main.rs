//! The work of the core as an idiomatic Rust program does it: a hash map for the items, vectors for
//! windows, CRC32C by the processor's instruction. It reads the batches that bench/core_loop.ts wrote,
//! folds them several times, and prints the nanoseconds per record, of each batch in its best round.
//!
//!     stockflow-bench-native <file> <items> <rounds>
//!
//! A second line has the nanoseconds of the core's own layout (layout.rs), whose results are compared; five more have
//! those of its stages, each upon those before.

mod layout;

use hashbrown::HashMap;
use layout::stage;
use std::time::Instant;

const HEADER: usize = 61;
const WINDOW_MS: i64 = 60_000;

#[derive(Default, Clone, Copy)]
struct Item {
    stock: i64,
    /// Index of the newest accumulator, 0 = none.
    newest: u32,
}

struct Accumulator {
    window: i64,
    succeeded: u32,
    failed: u32,
    volume: i64,
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn varint(&mut self) -> i64 {
        let (mut z, mut shift) = (0u64, 0);
        loop {
            let byte = self.bytes[self.at];
            self.at += 1;
            z |= u64::from(byte & 127) << shift;
            if byte < 128 {
                return (z >> 1) as i64 ^ -((z & 1) as i64);
            }
            shift += 7;
        }
    }

    fn field(&mut self) -> &'a [u8] {
        let length = self.varint().max(0) as usize;
        self.at += length;
        &self.bytes[self.at - length..self.at]
    }
}

fn put_varint(out: &mut Vec<u8>, n: i64) {
    let mut z = ((n << 1) ^ (n >> 63)) as u64;
    while z >= 128 {
        out.push(z as u8 | 128);
        z >>= 7;
    }
    out.push(z as u8);
}

fn varint_length(n: i64) -> i64 {
    let z = ((n << 1) ^ (n >> 63)) as u64 | 1;
    i64::from((70 - z.leading_zeros()) / 7)
}

/// A canonical decimal integer that fits into an i64.
fn integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    if digits.is_empty() || digits.len() > 19 || (digits[0] == b'0' && (digits.len() > 1 || negative)) {
        return None;
    }
    let mut value = 0i64;
    for digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value.checked_mul(10)?.checked_sub(i64::from(digit))?;
    }
    if negative { Some(value) } else { value.checked_neg() }
}

struct Transaction<'a> {
    ts: i64,
    item: &'a [u8],
    quantity: i64,
}

fn parse(value: &[u8]) -> Option<Transaction<'_>> {
    let mut fields = value.split(|&byte| byte == b'\t');
    integer(fields.next()?)?;
    let ts = integer(fields.next()?).filter(|ts| *ts >= 0)?;
    let item = fields.next().filter(|item| (1..=249).contains(&item.len()))?;
    let quantity = integer(fields.next()?).filter(|q| i32::try_from(*q).is_ok())?;
    if fields.next().is_some() || item.iter().any(|&b| b < 32 || b == 127) || std::str::from_utf8(item).is_err() {
        return None;
    }
    Some(Transaction { ts, item, quantity })
}

struct State {
    items: HashMap<Box<[u8]>, Item, ahash::RandomState>,
    accumulators: Vec<Accumulator>,
    invalid: u64,
}

fn fold(state: &mut State, batch: &[u8], out: &mut Vec<u8>) {
    let crc = u32::from_be_bytes(batch[17..21].try_into().unwrap());
    assert_eq!(crc32c::crc32c(&batch[21..]), crc, "CRC");
    let records = i32::from_be_bytes(batch[57..61].try_into().unwrap());
    out.clear();
    out.resize(HEADER, 0);
    let mut reader = Reader { bytes: batch, at: HEADER };
    let mut count = 0i64;
    for _ in 0..records {
        let length = reader.varint() as usize;
        let end = reader.at + length;
        reader.at += 1;
        let timestamp = reader.varint();
        reader.varint();
        reader.field();
        let value = reader.field();
        reader.at = end;
        let Some(t) = parse(value) else {
            state.invalid += 1;
            continue;
        };
        let item = match state.items.get_mut(t.item) {
            Some(item) => item,
            None => state.items.entry(t.item.into()).or_default(),
        };
        let success = item.stock.checked_add(t.quantity).is_some_and(|stock| stock >= 0);
        if success {
            item.stock += t.quantity;
        }
        let window = t.ts / WINDOW_MS;
        if item.newest == 0 || state.accumulators[item.newest as usize].window != window {
            item.newest = state.accumulators.len() as u32;
            state.accumulators.push(Accumulator { window, succeeded: 0, failed: 0, volume: 0 });
        }
        let accumulator = &mut state.accumulators[item.newest as usize];
        if success { accumulator.succeeded += 1 } else { accumulator.failed += 1 }
        accumulator.volume += t.quantity.abs();
        let suffix: &[u8] = if success { b"\ttrue" } else { b"\tfalse" };
        let value_length = (value.len() + suffix.len()) as i64;
        let key_length = t.item.len() as i64;
        put_varint(
            out,
            2 + varint_length(timestamp) + varint_length(count) + varint_length(key_length) + key_length
                + varint_length(value_length) + value_length,
        );
        out.push(0);
        put_varint(out, timestamp);
        put_varint(out, count);
        put_varint(out, key_length);
        out.extend_from_slice(t.item);
        put_varint(out, value_length);
        out.extend_from_slice(value);
        out.extend_from_slice(suffix);
        out.push(0);
        count += 1;
    }
    finish(batch, count, out);
}

/// Writes the header of a batch of so many records.
fn finish(batch: &[u8], count: i64, out: &mut [u8]) {
    let length = out.len() as i32 - 12;
    out[8..12].copy_from_slice(&length.to_be_bytes());
    out[16] = 2;
    out[23..27].copy_from_slice(&(count as i32 - 1).to_be_bytes());
    out[27..35].copy_from_slice(&batch[27..35]);
    out[57..61].copy_from_slice(&(count as i32).to_be_bytes());
    let crc = crc32c::crc32c(&out[21..]);
    out[17..21].copy_from_slice(&crc.to_be_bytes());
}

/// State with 1000 of each item.
fn filled(items: u64) -> State {
    let mut state = State {
        items: HashMap::default(),
        accumulators: vec![Accumulator { window: -1, succeeded: 0, failed: 0, volume: 0 }],
        invalid: 0,
    };
    for n in 0..items {
        let item = Item { stock: 1000, newest: 0 };
        state.items.insert(format!("item_{n}").into_bytes().into(), item);
    }
    state
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let file = std::fs::read(&arguments[1]).expect("the file of batches");
    let items: u64 = arguments[2].parse().expect("items");
    let rounds: u32 = arguments[3].parse().expect("rounds");
    let mut batches = Vec::new();
    let mut at = 0;
    while at < file.len() {
        let length = i32::from_be_bytes(file[at + 8..at + 12].try_into().unwrap()) as usize + 12;
        batches.push(&file[at..at + length]);
        at += length;
    }
    let records: i64 = batches.iter().map(|b| i64::from(i32::from_be_bytes(b[57..61].try_into().unwrap()))).sum();
    let mut state = filled(items);
    let mut out = Vec::with_capacity(1 << 20);
    let best = best_rounds(&batches, rounds, |batch| fold(&mut state, batch, &mut out));
    assert_eq!(state.invalid, 0);
    println!("{:.1}", best * 1e9 / records as f64);
    for seconds in measure_layout(&file, items, rounds) {
        println!("{:.1}", seconds * 1e9 / records as f64);
    }
}

/// Seconds of the core's layout, whose results are those of the other one; then up to each stage.
fn measure_layout(file: &[u8], items: u64, rounds: u32) -> Vec<f64> {
    const PADDING: usize = 64;
    let bytes = [&[0; PADDING], file, &[0; PADDING]].concat();
    let mut batches = Vec::new();
    let mut at = PADDING;
    while at < bytes.len() - PADDING {
        let end = at + 12 + u32::from_be_bytes(bytes[at + 8..at + 12].try_into().unwrap()) as usize;
        batches.push((at, end));
        at = end;
    }
    let mut state = filled(items);
    let mut layout = layout::Layout::new(items);
    let (mut out, mut other) = (Vec::with_capacity(1 << 20), Vec::new());
    for &(from, to) in &batches {
        layout.fold::<{ stage::ALL }>(&bytes, from, to, &mut out);
        fold(&mut state, &bytes[from..to], &mut other);
        assert!(out == other, "the results differ");
    }
    let whole = best_of::<{ stage::ALL }>(&bytes, &batches, items, rounds);
    vec![
        whole,
        best_of::<{ stage::WALK }>(&bytes, &batches, items, rounds),
        best_of::<{ stage::APPLY }>(&bytes, &batches, items, rounds),
        best_of::<{ stage::WINDOWS }>(&bytes, &batches, items, rounds),
        best_of::<{ stage::RESULTS }>(&bytes, &batches, items, rounds),
        whole,
    ]
}

/// Seconds up to a stage.
fn best_of<const STAGE: u8>(bytes: &[u8], batches: &[(usize, usize)], items: u64, rounds: u32) -> f64 {
    let mut layout = layout::Layout::new(items);
    let mut out = Vec::with_capacity(1 << 20);
    best_rounds(batches, rounds, |&(from, to)| layout.fold::<STAGE>(bytes, from, to, &mut out))
}

/// Seconds of all batches, each in its best round: so what else the machine does shows little.
fn best_rounds<B>(batches: &[B], rounds: u32, mut fold: impl FnMut(&B)) -> f64 {
    let mut best = vec![f64::MAX; batches.len()];
    for _ in 0..rounds {
        for (batch, best) in batches.iter().zip(&mut best) {
            let start = Instant::now();
            fold(batch);
            *best = best.min(start.elapsed().as_secs_f64());
        }
    }
    best.iter().sum()
}
