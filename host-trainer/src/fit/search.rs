//! Tries what applies and keeps what is smallest.

use super::encode::{Encoded, Job, encode, stored};
use super::isa;
use crate::align::path::{Costs, Prices};
use crate::align::{Aligner, Alignment};
use codec_core::Error;
use codec_core::entropy::range::Part;
use codec_core::limits::Profile;
use codec_core::reloc::IsaKind;
use codec_core::reloc::address::AddressModel;

/// Numbers of link addresses tried.
const REGION_CHOICES: [usize; 3] = [0, 1, 7];
/// Shorter segments than this stand in the stream, not in the map, bytes.
pub const LEAST_MAPPED: u32 = 16;
/// Updates that need more than this share of the new file may let the network learn from the old image first.
const PRIME_ABOVE: usize = 32;

/// Files longer than this are aligned at one set of prices, bytes.
const PRICED_ONCE: usize = 64 << 10;
/// Prices of an inserted byte and of a segment, and by how much a missed byte costs more, for text: a model, or
/// what is repeated, often says it in less than a segment takes.
const TEXT_PRICES: [Prices; 6] =
    [(1.5, 34.0, 1.0), (1.5, 60.0, 2.0), (2.5, 34.0, 2.0), (2.5, 22.0, 1.0), (3.5, 34.0, 1.0), (5.2, 30.0, 1.0)];

/// Told of each candidate as it is started: (done, in all, as far as known).
pub type Watch<'a> = &'a dyn Fn(u64, u64);

/// The candidates' alignments for readers of `profile`, all segments in the map, however many.
pub fn alignments(old: &[u8], new: &[u8], profile: Profile) -> Vec<Alignment> {
    let mut aligner = Aligner::new(old, new, Costs::default());
    let mut candidates = isa::candidates(old, new, &aligner.plain(), profile);
    candidates.push(AddressModel::new(IsaKind::Plain));
    let mut found: Vec<Alignment> = Vec::new();
    for sets in candidates {
        for regions in REGION_CHOICES {
            let alignment = aligner.find(&sets, regions);
            if found.iter().all(|f| f.address != alignment.address) {
                found.push(alignment);
            }
        }
    }
    found
}

/// Alignments of plain bytes at other prices, where they are cheap to find.
fn others(old: &[u8], job: &Job<'_>) -> impl Iterator<Item = Alignment> {
    let segments = job.profile.parameters().segments as usize;
    let prices = if job.new.len() <= PRICED_ONCE { &TEXT_PRICES[..] } else { &[] };
    prices.iter().map(Costs::at).map(move |costs| {
        let plain = AddressModel::new(IsaKind::Plain);
        Aligner::new(old, job.new, costs).find(&plain, 0).split(segments, LEAST_MAPPED)
    })
}

/// The smallest file that says what `job` asks for. Its base model is used where that makes it smaller.
///
/// # Errors
/// Those of the codec; none for lengths below 2 GiB.
pub fn smallest(job: &Job<'_>, watch: Watch<'_>) -> Result<Encoded, Error> {
    let best = without_base(&Job { base: None, ..*job }, watch)?;
    if job.base.is_none() {
        return Ok(best);
    }
    let mut candidates = Vec::new();
    let nothing = Alignment::default();
    match (best.is_delta, job.old) {
        (true, Some(old)) if best.bits[Part::Inserted as usize] > 0.0 => {
            candidates.push(encode(job, &best.alignment, false)?);
            if best.bytes.len() * 2 > job.new.len().min(old.len()) {
                candidates.push(encode(&Job { old: None, ..*job }, &nothing, false)?);
            }
        }
        (true, _) => {}
        (false, _) => candidates.push(encode(&Job { old: None, ..*job }, &nothing, false)?),
    }
    if let Some(old) = job.old.filter(|_| best.is_delta && best.alignment.address.is_plain()) {
        for alignment in others(old, job) {
            candidates.push(encode(job, &alignment, false)?);
        }
    }
    candidates.push(best);
    candidates.into_iter().min_by_key(|c| c.bytes.len()).ok_or(Error::Finished)
}

fn without_base(job: &Job<'_>, watch: Watch<'_>) -> Result<Encoded, Error> {
    let mut best = stored(job)?;
    let mut keep = |candidate: Encoded| {
        if candidate.bytes.len() < best.bytes.len() {
            best = candidate;
        }
    };
    let nothing = Alignment::default();
    match job.old {
        None => keep(encode(job, &nothing, false)?),
        Some(old) => {
            watch(0, 0);
            let candidates = alignments(old, job.new, job.profile);
            let all = candidates.len() as u64 + 1;
            let mut delta: Option<Encoded> = None;
            for (i, alignment) in candidates.iter().enumerate() {
                watch(i as u64, all);
                let alignment = alignment.split(job.profile.parameters().segments as usize, LEAST_MAPPED);
                let candidate = encode(job, &alignment, false)?;
                if delta.as_ref().is_none_or(|d| candidate.bytes.len() < d.bytes.len()) {
                    delta = Some(candidate);
                }
            }
            watch(all - 1, all);
            if delta.as_ref().is_some_and(|delta| delta.alignment.address.is_plain()) {
                for alignment in others(old, job) {
                    let candidate = encode(job, &alignment, false)?;
                    delta = delta.filter(|d| d.bytes.len() <= candidate.bytes.len()).or(Some(candidate));
                }
            }
            if let Some(delta) = delta {
                if job.profile >= Profile::Medium && delta.bytes.len() * PRIME_ABOVE > job.new.len() {
                    keep(encode(job, &delta.alignment, true)?);
                }
                // An update that shares nothing is no update.
                if delta.bytes.len() * 2 > job.new.len() {
                    keep(encode(&Job { old: None, ..*job }, &nothing, false)?);
                }
                keep(delta);
            }
            watch(all, all);
        }
    }
    Ok(best)
}
