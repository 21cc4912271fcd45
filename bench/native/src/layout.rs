//! The core's own layout and passes, as a native program would have them: cache lines of three slots, key
//! codes, blocks of 64 records; prefetches where the core loads ahead, and CRC32C by the processor's
//! instruction. What the core could be at best.

use crate::{put_varint, varint_length, Reader, HEADER, WINDOW_MS};
use std::arch::x86_64::*;
use std::hint::black_box;

const BLOCK: usize = 64;
const SLOTS: usize = 3;

#[repr(C, align(64))]
#[derive(Clone, Copy, Default)]
struct Line {
    codes: [u64; SLOTS],
    stocks: [i64; SLOTS],
    links: [u32; SLOTS],
}

#[repr(C, align(32))]
#[derive(Clone, Copy, Default)]
struct Accumulator {
    code: u64,
    volume: i64,
    succeeded: u32,
    failed: u32,
    window: u32,
}

#[derive(Clone, Copy, Default)]
struct Record {
    code: u64,
    line: usize,
    slot: usize,
    timestamp: i64,
    ts: i64,
    quantity: i64,
    id: (usize, usize),
    value: (usize, usize),
    success: bool,
}

/// How far a loop goes: the stages of bench/core_stages.ts, each upon those before.
pub mod stage {
    pub const WALK: u8 = 0;
    pub const APPLY: u8 = 1;
    pub const WINDOWS: u8 = 2;
    pub const RESULTS: u8 = 3;
    pub const ALL: u8 = 4;
}

pub struct Layout {
    lines: Vec<Line>,
    accumulators: Vec<Accumulator>,
    block: [Record; BLOCK],
}

fn prefetch<T>(place: &T) {
    unsafe { _mm_prefetch::<_MM_HINT_T0>(place as *const T as *const i8) }
}

/// Digits at `p`, at most 16.
fn digit_run(bytes: &[u8], p: usize) -> usize {
    unsafe {
        let v = _mm_sub_epi8(_mm_loadu_si128(bytes[p..p + 16].as_ptr().cast()), _mm_set1_epi8(48));
        let digits = _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(9)), v);
        (!_mm_movemask_epi8(digits) as u32 | 0x10000).trailing_zeros() as usize
    }
}

fn eight_digits(mut d: u64) -> u64 {
    d &= 0x0f0f_0f0f_0f0f_0f0f;
    d = d * 10 + (d >> 8);
    ((d & 0xff_0000_00ff).wrapping_mul(0xf_4240_0000_0064))
        .wrapping_add(((d >> 16) & 0xff_0000_00ff).wrapping_mul(0x2710_0000_0001))
        >> 32
}

fn word(bytes: &[u8], p: usize) -> u64 {
    u64::from_le_bytes(bytes[p..p + 8].try_into().unwrap())
}

fn last_bytes(x: u64, n: usize) -> u64 {
    if n == 0 { 0 } else { x & (u64::MAX << (64 - 8 * n)) }
}

/// Value of the n digits (0 to 16) before `end`.
fn digits_before(bytes: &[u8], end: usize, n: usize) -> u64 {
    if n <= 8 {
        return eight_digits(last_bytes(word(bytes, end - 8), n));
    }
    eight_digits(word(bytes, end - 8)) + eight_digits(last_bytes(word(bytes, end - 16), n - 8)) * 100_000_000
}

/// What the core does with an id: its prefix of up to 8 bytes and its number, in 8 bytes. One prefix serves here.
fn code_of(bytes: &[u8], (from, to): (usize, usize)) -> u64 {
    let digits = bytes[from..to].iter().rev().take_while(|b| b.is_ascii_digit()).count();
    let prefix = &bytes[from..to - digits];
    assert_eq!(prefix, b"item_");
    1 << 62 | 1 << 50 | digits_before(bytes, to, digits)
}

fn mix(x: u64) -> u64 {
    let h = x.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let h = (h ^ h >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
    (h ^ h >> 29).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32
}

fn parse(bytes: &[u8], r: &mut Record) -> Option<()> {
    let (from, end) = r.value;
    let mut p = from + usize::from(bytes[from] == b'-');
    let mut k = digit_run(bytes, p);
    if k == 16 {
        k += digit_run(bytes, p + 16);
    }
    if k == 0 || k > 19 || bytes[p + k] != b'\t' || (bytes[p] == b'0' && (k > 1 || p != from)) {
        return None;
    }
    p += k + 1;
    k = digit_run(bytes, p);
    if k == 0 || k == 16 || bytes[p + k] != b'\t' || (bytes[p] == b'0' && k > 1) {
        return None;
    }
    p += k;
    r.ts = digits_before(bytes, p, k) as i64;
    let id = p + 1;
    p = id;
    while bytes[p] >= 32 && bytes[p] < 127 {
        p += 1;
    }
    if bytes[p] != b'\t' || p == id || p - id > 249 {
        return None;
    }
    r.id = (id, p);
    let negative = bytes[p + 1] == b'-';
    p += 1 + usize::from(negative);
    k = digit_run(bytes, p);
    if k == 0 || k > 10 || p + k != end || (bytes[p] == b'0' && (k > 1 || negative)) {
        return None;
    }
    let magnitude = digits_before(bytes, end, k) as i64;
    r.quantity = if negative { -magnitude } else { magnitude };
    Some(())
}

impl Layout {
    pub fn new(items: u64) -> Layout {
        let lines = (items as f64 / SLOTS as f64 / 0.8) as usize + 1;
        let mut layout = Layout {
            lines: vec![Line::default(); lines],
            accumulators: vec![Accumulator::default()],
            block: [Record::default(); BLOCK],
        };
        for n in 0..items {
            let code = 1 << 62 | 1 << 50 | n;
            let mut line = layout.home(code);
            let slot = loop {
                match layout.lines[line].codes.iter().position(|c| *c == 0) {
                    Some(slot) => break slot,
                    None => line = (line + 1) % lines,
                }
            };
            layout.lines[line].codes[slot] = code;
            layout.lines[line].stocks[slot] = 1000;
        }
        layout
    }

    fn home(&self, code: u64) -> usize {
        ((mix(code) * self.lines.len() as u64) >> 32) as usize
    }

    /// Folds a batch, of which at least 64 bytes follow and precede in `bytes`, up to a stage.
    pub fn fold<const STAGE: u8>(&mut self, bytes: &[u8], from: usize, to: usize, out: &mut Vec<u8>) {
        if STAGE >= stage::ALL {
            let crc = u32::from_be_bytes(bytes[from + 17..from + 21].try_into().unwrap());
            assert_eq!(crc32c::crc32c(&bytes[from + 21..to]), crc, "CRC");
        }
        let mut left = u32::from_be_bytes(bytes[from + 57..from + 61].try_into().unwrap()) as usize;
        out.clear();
        out.resize(HEADER, 0);
        let mut reader = Reader { bytes, at: from + HEADER };
        let mut count = 0i64;
        while left > 0 {
            let n = left.min(BLOCK);
            left -= n;
            if STAGE == stage::WALK {
                walk(&mut reader, n);
                continue;
            }
            self.read(&mut reader, n);
            self.apply::<STAGE>(n);
            if STAGE < stage::RESULTS {
                continue;
            }
            for r in &self.block[..n] {
                put(bytes, r, count, out);
                count += 1;
            }
        }
        if STAGE >= stage::RESULTS {
            crate::finish(&bytes[from..to], count, out);
        }
    }

    fn read(&mut self, reader: &mut Reader, n: usize) {
        for i in 0..n {
            let length = reader.varint() as usize;
            let end = reader.at + length;
            reader.at += 1;
            let mut r = Record { timestamp: reader.varint(), ..Record::default() };
            reader.varint();
            reader.field();
            let length = reader.varint() as usize;
            r.value = (reader.at, reader.at + length);
            reader.at = end;
            parse(reader.bytes, &mut r).expect("a valid transaction");
            r.code = code_of(reader.bytes, r.id);
            r.line = self.home(r.code);
            prefetch(&self.lines[r.line]);
            self.block[i] = r;
        }
    }

    fn apply<const STAGE: u8>(&mut self, n: usize) {
        for r in &mut self.block[..n] {
            loop {
                if let Some(slot) = self.lines[r.line].codes.iter().position(|c| *c == r.code) {
                    r.slot = slot;
                    break;
                }
                r.line = if r.line + 1 == self.lines.len() { 0 } else { r.line + 1 };
            }
            if STAGE >= stage::WINDOWS {
                prefetch(&self.accumulators[self.lines[r.line].links[r.slot] as usize]);
            }
        }
        for r in &mut self.block[..n] {
            let line = &mut self.lines[r.line];
            let after = line.stocks[r.slot].wrapping_add(r.quantity);
            r.success = after >= 0;
            if r.success {
                line.stocks[r.slot] = after;
            }
            if STAGE < stage::WINDOWS {
                continue;
            }
            let window = (r.ts / WINDOW_MS) as u32;
            let newest = self.accumulators[line.links[r.slot] as usize];
            if newest.code != r.code || newest.window != window {
                line.links[r.slot] = self.accumulators.len() as u32;
                self.accumulators.push(Accumulator { code: r.code, window, ..Accumulator::default() });
            }
            let accumulator = &mut self.accumulators[line.links[r.slot] as usize];
            if r.success { accumulator.succeeded += 1 } else { accumulator.failed += 1 }
            accumulator.volume += r.quantity.abs();
        }
    }
}

/// Goes from record to record, as far as their values.
fn walk(reader: &mut Reader, n: usize) {
    for _ in 0..n {
        let length = reader.varint() as usize;
        let end = reader.at + length;
        reader.at += 1;
        black_box(reader.varint());
        reader.varint();
        black_box(reader.field());
        black_box(reader.varint());
        reader.at = end;
    }
}

fn put(bytes: &[u8], r: &Record, count: i64, out: &mut Vec<u8>) {
    let suffix: &[u8] = if r.success { b"\ttrue" } else { b"\tfalse" };
    let (key, value) = (&bytes[r.id.0..r.id.1], &bytes[r.value.0..r.value.1]);
    let (key_length, value_length) = (key.len() as i64, (value.len() + suffix.len()) as i64);
    put_varint(
        out,
        2 + varint_length(r.timestamp) + varint_length(count) + varint_length(key_length) + key_length
            + varint_length(value_length) + value_length,
    );
    out.push(0);
    put_varint(out, r.timestamp);
    put_varint(out, count);
    put_varint(out, key_length);
    out.extend_from_slice(key);
    put_varint(out, value_length);
    out.extend_from_slice(value);
    out.extend_from_slice(suffix);
    out.push(0);
}
