//! What an update costs on the air: frames, bytes and time on slow links, with and without loss.
//!
//! # Where the figures come from
//!
//! Every frame, either way, is lost with probability `p`, whatever happens to the others. A question and its answer get
//! through together with probability `(1 - p)^2`: a message that asks is sent `1 / (1 - p)^2` times on average, and
//! answered `1 / (1 - p)` times.
//!
//! The payload goes in rounds (see `host-trainer/src/push/flight.rs`, one question a window). A round sends every chunk
//! of the window that has not arrived; its last one asks, is sent until question and answer get through, and so has
//! arrived when the round ends. Every other one is lost with probability `p`. The window then moves up to the first
//! chunk that lacks. The state is the probability `u[j]` that place `j` of the window lacks at the start of a round;
//! all start at 1, `u[0]` is always 1, and the places are taken as independent, which is the one approximation (near
//! the end there is a `u` for each number of chunks left; far from it, one for all). With
//! `r[j] = u[j] p (1 - prod_{l > j} (1 - u[l]))` for what lacks after the round,
//!
//! - the window moves by `i` places with probability `r[i] prod_{l < i} (1 - r[l])`, or by all of them;
//! - a round sends `sum u[j] - 1 + 1 / (1 - p)^2` chunks and gets `1 / (1 - p)` answers on the air.
//!
//! Without loss the figures are exact for frame limits up to 254 (COBS then adds one byte, whatever the content). A
//! test holds them to the simulated link: within 2 % at 1 % of loss, within 5 % at 20 %.

use std::collections::BTreeMap;

use codec_core::container::digest::OLD_ID_LEN;
use codec_core::varint;
use serde::Serialize;
use update_core::link::frame::message_room;
use update_core::manifest::MANIFEST_LEN;

use super::format::{Table, seconds, thousands};
use crate::push::chunk_len;

/// Bits a second: a slow narrow-band radio, LoRa's classics, a fast one, a cable.
pub const RATES: [u32; 5] = [250, 1200, 5470, 50_000, 1_000_000];
/// Frame limits: LoRaWAN's slowest data rates, its fastest ones, a radio packet.
pub const FRAMES: [u16; 3] = [51, 242, 250];
/// Share of frames lost.
pub const LOSSES: [f64; 3] = [0.0, 0.01, 0.2];
/// Chunks of the window.
pub const WINDOW: u8 = 8;

/// Expected cost of one update. Field names are part of the interface.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LinkRecord {
    /// Longest frame, bytes, delimiter included.
    pub frame: u16,
    /// Chunks of the window.
    pub window: u8,
    /// Share of frames lost, each way.
    pub loss: f64,
    /// Bytes of the payload.
    pub payload: u64,
    /// Frames that the host sends.
    pub frames_out: f64,
    /// Of these, chunks of the payload sent again.
    pub chunks_again: f64,
    /// Frames that the device sends.
    pub frames_in: f64,
    /// Bytes that the host sends.
    pub bytes_out: f64,
    /// Bytes that the device sends.
    pub bytes_in: f64,
    /// Bytes of all frames over those of manifest and payload: 1.1 means a tenth on top.
    pub overhead: f64,
    /// Time on the air at each rate; waiting for lost answers comes on top.
    pub times: Vec<TimeRecord>,
}

/// One line of [`LinkRecord::times`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct TimeRecord {
    /// Bits a second.
    pub bits_per_second: u32,
    /// Seconds.
    pub seconds: f64,
}

/// Sums of what is on the air.
#[derive(Clone, Copy, Debug, Default)]
struct Air {
    frames: [f64; 2],
    bytes: [f64; 2],
}

impl Air {
    /// `out` frames of a message of `out_len` bytes, answered by `back` frames of one of `back_len`.
    fn add(&mut self, (out, out_len): (f64, f64), (back, back_len): (f64, f64)) {
        self.frames[0] += out;
        self.bytes[0] += out * framed(out_len);
        self.frames[1] += back;
        self.bytes[1] += back * framed(back_len);
    }

    fn ask(&mut self, loss: f64, out_len: usize, back_len: usize) {
        let through = 1.0 - loss;
        self.add((through.powi(-2), out_len as f64), (through.recip(), back_len as f64));
    }
}

/// Bytes of the frame of a message of `len` bytes: check, COBS, delimiter.
fn framed(len: f64) -> f64 {
    let checked = len + 4.0;
    checked + 1.0 + (checked / 254.0).floor() + 1.0
}

/// Expected numbers of a payload sent in rounds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rounds {
    /// Items sent.
    pub sent: f64,
    /// Answers sent.
    pub answers: f64,
    /// Rounds.
    pub rounds: f64,
    /// Share of rounds after which something in the window lacks.
    pub holes: f64,
}

/// The probabilities of one round.
struct Round {
    /// Chunks that are sent at first.
    sent: f64,
    /// The window moves by `i` places with probability `moves[i]`.
    moves: Vec<f64>,
    /// Each place lacks when the round ends.
    lacks: Vec<f64>,
}

impl Round {
    /// A round of a window of `places`, with the probability that each lacks.
    fn new(lacked: &[f64], places: usize, loss: f64) -> Self {
        let mut lacks = vec![0.0; places];
        let mut none_behind = 1.0;
        for j in (0..places).rev() {
            lacks[j] = lacked[j] * loss * (1.0 - none_behind);
            none_behind *= 1.0 - lacked[j];
        }
        let mut all_before = 1.0;
        let mut moves = Vec::with_capacity(places + 1);
        for lacks in &lacks {
            moves.push(all_before * lacks);
            all_before *= 1.0 - lacks;
        }
        moves.push(all_before);
        Self { sent: lacked[..places].iter().sum(), moves, lacks }
    }

    /// That place `j` lacks at the start of the next round, after the window has moved by `i`: what comes into it was
    /// never sent.
    fn next(&self, i: usize, j: usize) -> f64 {
        if j == 0 { 1.0 } else { self.lacks.get(i + j).copied().unwrap_or(1.0) }
    }
}

/// Sends `items` in windows of `window`, each frame lost with probability `loss` below 1.
#[must_use]
pub fn rounds(items: u64, window: u8, loss: f64) -> Rounds {
    let width = usize::from(window.max(1));
    let (asks, answers) = ((1.0 - loss).powi(-2), (1.0 - loss).recip());
    let mut sum = Rounds::default();
    let mut count = |times: f64, round: &Round| {
        sum.rounds += times;
        sum.sent += times * (round.sent - 1.0 + asks);
        sum.answers += times * answers;
        sum.holes += times * (1.0 - round.moves.last().copied().unwrap_or(1.0));
    };
    // Far from the end it only matters how far the window moves on average; rounds that are alike are counted at once.
    let mut lacks = vec![1.0; width];
    let end = (8 * width) as f64;
    let mut left = items as f64;
    while left > end + width as f64 {
        let round = Round::new(&lacks, width, loss);
        let moved: f64 = round.moves.iter().enumerate().map(|(i, chance)| i as f64 * chance).sum();
        let mean = |j: usize| round.moves.iter().enumerate().map(|(i, chance)| chance * round.next(i, j)).sum();
        let next: Vec<f64> = (0..width).map(mean).collect();
        let change = lacks.iter().zip(&next).map(|(a, b)| f64::abs(a - b)).fold(0.0, f64::max);
        let times = if change < 1e-9 { ((left - end) / moved).floor().max(1.0) } else { 1.0 };
        count(times, &round);
        left -= times * moved;
        lacks = next;
    }
    // Near the end it matters how many are left: for each number the chance of it, and what then lacks.
    let whole = left.floor();
    let mut states = BTreeMap::new();
    for (number, chance) in [(whole, 1.0 - (left - whole)), (whole + 1.0, left - whole)] {
        if number > 0.0 && chance > 0.0 {
            states.insert(number as usize, (chance, lacks.clone()));
        }
    }
    while !states.is_empty() {
        let mut after: BTreeMap<usize, (f64, Vec<f64>)> = BTreeMap::new();
        for (number, (chance, lacked)) in states {
            let round = Round::new(&lacked, number.min(width), loss);
            count(chance, &round);
            for (i, moves) in round.moves.iter().enumerate() {
                let share = chance * moves;
                if share > NEGLIGIBLE && i < number {
                    let (chance, lacks) = after.entry(number - i).or_insert_with(|| (0.0, vec![0.0; width]));
                    *chance += share;
                    lacks.iter_mut().enumerate().for_each(|(j, place)| *place += share * round.next(i, j));
                }
            }
        }
        for (chance, lacks) in after.values_mut() {
            lacks.iter_mut().for_each(|place| *place /= *chance);
        }
        states = after;
    }
    sum.holes /= sum.rounds.max(1.0);
    sum
}

/// Bytes of what a device tells of itself: product, version, state, profile, identity, and what it has received.
const INFO_LEN: usize = 4 + 4 + 1 + 1 + OLD_ID_LEN + 4;
/// A chance that is not followed any further.
const NEGLIGIBLE: f64 = 1e-12;

/// The expected cost of `payload` bytes behind a manifest: told, installed, restarted and looked at.
#[must_use]
pub fn cost(payload: u64, frame: u16, window: u8, loss: f64) -> LinkRecord {
    let mut air = Air::default();
    let limit = usize::from(frame);
    let chunk = chunk_len(limit, payload as usize);
    // Before the first word and after the restart: a session, and what the device is.
    let welcome = 1 + 4 + 2 + 1 + varint::len(frame.into()) + 1;
    for _ in 0..2 {
        air.ask(loss, 1 + 4, welcome);
        air.ask(loss, 1 + 2 + 1, 1 + 2 + 1 + INFO_LEN);
    }
    // The manifest.
    let room = message_room(limit);
    let head = 1 + 2 + varint::len(chunk as u32) + 1 + 1;
    let piece = (room - (1 + 2 + 2 + 1 + 1)) / 4 * 4;
    let pieces = MANIFEST_LEN.div_ceil(piece);
    let offer = rounds(pieces as u64, pieces as u8, loss);
    let piece_len = head as f64 + MANIFEST_LEN as f64 / pieces as f64;
    let (accepted, have) = (1 + 2 + 1, 1 + 2 + 1 + 5);
    let early = offer.answers * offer.holes;
    air.add((offer.sent, piece_len), (early, have as f64));
    air.add((0.0, 0.0), (offer.answers - early, accepted as f64));
    // The payload.
    let chunks = payload.div_ceil(chunk as u64);
    let data = rounds(chunks, window, loss);
    let numbers: u64 = (0..5).map(|digit| chunks.saturating_sub(if digit == 0 { 0 } else { 1 << (7 * digit) })).sum();
    if chunks > 0 {
        let mean = (payload + numbers) as f64 / chunks as f64 + 3.0;
        let next = mean_next(chunks, window);
        // A hole at the front: the last chunk of the window is kept, as it has asked.
        let bitmap = varint::len(1u32.checked_shl(u32::from(window).saturating_sub(2)).unwrap_or(1));
        let kept = 1.0 + data.holes * (bitmap as f64 - 1.0);
        air.add((data.sent, mean), (data.answers, 3.0 + next + kept));
    }
    // Install, look, restart.
    air.ask(loss, 1 + 2, 1 + 2 + 1);
    air.ask(loss, 1 + 2 + 1, 1 + 2 + 1 + INFO_LEN);
    air.ask(loss, 1 + 2, 1 + 2 + 1);

    let total = air.bytes[0] + air.bytes[1];
    LinkRecord {
        frame,
        window,
        loss,
        payload,
        frames_out: air.frames[0],
        chunks_again: data.sent - chunks as f64,
        frames_in: air.frames[1],
        bytes_out: air.bytes[0],
        bytes_in: air.bytes[1],
        overhead: total / (payload + MANIFEST_LEN as u64) as f64,
        times: RATES
            .iter()
            .map(|&bits_per_second| TimeRecord { bits_per_second, seconds: 8.0 * total / f64::from(bits_per_second) })
            .collect(),
    }
}

/// Mean bytes of the number in the answers of a link without loss: one a window, and one at the end.
fn mean_next(chunks: u64, window: u8) -> f64 {
    let window = u64::from(window.max(1));
    let answers = chunks.div_ceil(window);
    let len = |answer: u64| varint::len(u32::try_from(chunks.min(answer * window)).unwrap_or(u32::MAX)) as u64;
    (1..=answers).map(len).sum::<u64>() as f64 / answers.max(1) as f64
}

/// The cost of `payload` bytes for all frame limits and losses of the report.
#[must_use]
pub fn costs(payload: u64) -> Vec<LinkRecord> {
    let all = FRAMES.iter().flat_map(|&frame| LOSSES.iter().map(move |&loss| (frame, loss)));
    all.map(|(frame, loss)| cost(payload, frame, WINDOW, loss)).collect()
}

/// The report of `gmcf inspect --link`.
#[must_use]
pub fn table(records: &[LinkRecord]) -> String {
    let head = ["frame", "loss", "frames", "again", "answers", "bytes", "overhead"].map(String::from);
    let rates = RATES.iter().map(|&rate| match rate {
        1_000_000.. => format!("{} Mbit/s", rate / 1_000_000),
        10_000.. => format!("{} kbit/s", rate / 1000),
        _ => format!("{rate} bit/s"),
    });
    let mut table = Table::new(head.into_iter().chain(rates));
    let mut last = None;
    for record in records {
        if last.is_some_and(|frame| frame != record.frame) {
            table.rule();
        }
        last = Some(record.frame);
        let round = |value: f64| thousands(value.round() as u64);
        let cells = [
            record.frame.to_string(),
            format!("{:.0} %", 100.0 * record.loss),
            round(record.frames_out),
            round(record.chunks_again),
            round(record.frames_in),
            round(record.bytes_out + record.bytes_in),
            format!("{:.1} %", 100.0 * (record.overhead - 1.0)),
        ];
        table.row(cells.into_iter().chain(record.times.iter().map(|time| seconds(time.seconds))));
    }
    let payload = records.first().map_or(0, |record| record.payload);
    format!(
        "\non the air: {MANIFEST_LEN} bytes of manifest, {} of payload, windows of {WINDOW}, installed and restarted\n\
         {}",
        thousands(payload),
        table.render()
    )
}
