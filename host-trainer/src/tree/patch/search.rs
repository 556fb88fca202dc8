//! The shortest container of a part of the stream.

use codec_core::container::v2::{Header, Mode};
use codec_core::delta::map::Segment;
use codec_core::predict::prior::PRIOR;
use codec_core::reloc::IsaKind;
use codec_core::reloc::address::AddressModel;

use super::Options;
use super::error::PatchError;
use super::group::is_text;
use super::plan::mode;
use crate::align::path::{Costs, Prices, Scene};
use crate::align::suffix::SuffixIndex;
use crate::align::{Aligner, Alignment};
use crate::base::{Resident, Shipped};
use crate::codec::Profile;
use crate::fit::encode::{Encoded, Job, encode, stored, with_big_stack};
use crate::fit::search::{LEAST_MAPPED, smallest};

/// Prices of an inserted byte and of a segment, and by how much a missed byte costs more. Text is said in fewer bytes by a
/// model than by many small segments, the more so the more often the same is inserted.
const PRICES: [Prices; 5] =
    [(2.5, 100.0, 3.0), (1.0, 100.0, 3.0), (0.7, 60.0, 2.0), (1.5, 34.0, 1.0), (5.2, 22.0, 1.0)];
/// Longer parts are aligned at fewer of them, and longer binaries at those of code.
const LONG: usize = 1 << 20;
const PRICES_LONG: [Prices; 3] = [(1.0, 100.0, 3.0), (1.5, 34.0, 1.0), (5.2, 22.0, 1.0)];
const PRICES_BINARY: [Prices; 2] = [(5.2, 22.0, 1.0), (2.5, 34.0, 1.0)];
/// So many of the shortest are tried with the base model, too; all but the first only where little is inserted.
const WITH_BASE: usize = 2;
/// Binaries up to so many bytes, old ones included, are tried with the base model however much is inserted.
const SMALL: usize = 4 << 20;

/// Where more bytes than this are inserted, only the shortest is tried with the base model.
const MODELLED_AGAIN: usize = 32 << 10;

/// A part as it travels.
pub(super) struct Coded {
    /// As in the plan.
    pub mode: u8,
    /// Whether the reference is needed.
    pub is_delta: bool,
    /// What its container holds.
    pub payload: Vec<u8>,
}

impl From<Encoded> for Coded {
    fn from(encoded: Encoded) -> Self {
        let mode = match encoded.mode {
            Mode::Stored => mode::STORED,
            Mode::Primed => mode::PRIMED,
            // No part of a tree is coded as weights.
            Mode::Coded | Mode::Weights => mode::CODED,
        };
        Self { mode, is_delta: encoded.is_delta, payload: encoded.bytes[encoded.header_len..].to_vec() }
    }
}

/// What is best in a map, the rest among copies.
fn split(alignment: &Alignment) -> Alignment {
    alignment.split(Profile::Host.parameters().segments as usize, LEAST_MAPPED)
}

/// Segments of `new` over `old` as plain bytes, at each of the prices.
fn alignments(old: &[u8], new: &[u8], prices: &[Prices]) -> Vec<Alignment> {
    let index = SuffixIndex::new(old);
    let (old_targets, new_targets) = (vec![None; old.len()], vec![None; new.len()]);
    let segments = |costs: Costs| -> Vec<Segment> {
        Scene { old, new, old_targets: &old_targets, new_targets: &new_targets, costs }.segments(&index)
    };
    let address = AddressModel::new(IsaKind::Plain);
    let mut found: Vec<Alignment> = Vec::new();
    for segments in prices.iter().map(Costs::at).map(segments) {
        if found.iter().all(|other| other.segments != segments) {
            found.push(Alignment { segments, copies: Vec::new(), address: address.clone() });
        }
    }
    found.iter().map(split).collect()
}

/// Codes `new` against `old`, or alone where there is none, without a header.
pub(super) fn shortest(new: &[u8], old: &[u8], options: &Options) -> Result<Coded, PatchError> {
    let resident = options.base.map(Shipped::open).transpose()?;
    let (encoded, with_base) = container(new, old, resident, options.modelled, true)?;
    let mut coded = Coded::from(encoded);
    if with_base && coded.mode == mode::CODED {
        coded.mode = mode::BASE;
    }
    Ok(coded)
}

/// The shortest container for `new` against `old`, which is empty where there is none, and whether it takes the base
/// model: it is asked where at most `modelled` bytes are inserted. With `code`, binaries are searched for instruction sets and
/// link addresses.
pub(in crate::tree) fn container(
    new: &[u8],
    old: &[u8],
    resident: Option<Resident<'_>>,
    modelled: usize,
    code: bool,
) -> Result<(Encoded, bool), codec_core::Error> {
    let plain = Job { new, old: None, profile: Profile::Host, prior: PRIOR, base: None };
    let based = Job { base: resident, ..plain };
    let delta = |job: Job<'_>, alignment: &Alignment| encode(&Job { old: Some(old), ..job }, alignment, false);
    let worth = |alignment: &Alignment, most: usize| {
        let mapped = alignment.segments.iter().chain(&alignment.copies).map(|segment| segment.len as usize);
        resident.is_some() && new.len() - mapped.sum::<usize>() <= most
    };
    with_big_stack(|| {
        let mut best: Option<(Encoded, bool)> = None;
        let mut keep = |encoded: Encoded, with_base: bool| {
            let len = |encoded: &Encoded| encoded.bytes.len() - encoded.header_len;
            if best.as_ref().is_none_or(|(best, _)| len(&encoded) < len(best)) {
                best = Some((encoded, with_base));
            }
        };
        if code && !is_text(new) && !old.is_empty() {
            let job = if new.len() + old.len() <= SMALL { based } else { plain };
            let encoded = smallest(&Job { old: Some(old), ..job }, &|_, _| {})?;
            let with_base = Header::parse(&encoded.bytes)?.0.base.is_some();
            let (mut len, mut alignment) = (encoded.bytes.len(), encoded.alignment.clone());
            let is_code = !alignment.address.is_plain();
            // Whether the best alignment so far was tried with the base model.
            let mut tried = job.base.is_some();
            keep(encoded, with_base);
            if is_code {
                // The prices that are not the usual ones, for the same addresses.
                for costs in PRICES_BINARY[1..].iter().map(Costs::at) {
                    let segments = Aligner::new(old, new, costs).align(&alignment.address, &alignment.segments);
                    let address = alignment.address.clone();
                    let again = split(&Alignment { segments, copies: Vec::new(), address });
                    let encoded = delta(plain, &again)?;
                    if encoded.bytes.len() < len {
                        (alignment, len, tried) = (again, encoded.bytes.len(), false);
                    }
                    keep(encoded, false);
                }
                if !tried && worth(&alignment, modelled) {
                    keep(delta(based, &alignment)?, true);
                }
                return best.ok_or(codec_core::Error::Finished);
            }
        }
        keep(stored(&plain)?, false);
        let nothing = Alignment::default();
        // What was tried without the model: bytes, alignment, and whether the reference is used.
        let mut tried: Vec<(usize, Alignment, bool)> = Vec::new();
        if !old.is_empty() {
            let prices = match (new.len() > LONG, is_text(new)) {
                (true, true) => &PRICES_LONG[..],
                (true, false) => &PRICES_BINARY,
                (false, _) => &PRICES,
            };
            for alignment in alignments(old, new, prices) {
                let encoded = delta(plain, &alignment)?;
                tried.push((encoded.bytes.len(), alignment, true));
                keep(encoded, false);
            }
        }
        // What shares nothing with the reference is shorter without.
        if tried.iter().all(|(len, ..)| len * 4 > new.len()) {
            let encoded = encode(&plain, &nothing, false)?;
            tried.push((encoded.bytes.len(), nothing, false));
            keep(encoded, false);
        }
        tried.sort_by_key(|(len, ..)| *len);
        for (rank, (_, alignment, is_delta)) in tried.iter().take(WITH_BASE).enumerate() {
            if worth(alignment, if rank == 0 { modelled } else { MODELLED_AGAIN.min(modelled) }) {
                keep(if *is_delta { delta(based, alignment)? } else { encode(&based, alignment, false)? }, true);
            }
        }
        best.ok_or(codec_core::Error::Finished)
    })
}
