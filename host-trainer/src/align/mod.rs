//! Alignment: segments, instruction set and link addresses, found together.

pub mod bases;
pub mod path;
pub mod sites;
pub mod suffix;

use bases::ByShift;
use codec_core::delta::map::Segment;
use codec_core::predict::LEAST_COPY;
use codec_core::reloc::IsaKind;
use codec_core::reloc::address::{AddressModel, Region};
use path::{Costs, Scene};
use sites::{Reading, Reference, Sites};
use suffix::SuffixIndex;

/// What the aligner found.
#[derive(Clone, Debug, Default)]
pub struct Alignment {
    /// Segments of the map, in the order of the new file.
    pub segments: Vec<Segment>,
    /// Segments that stand in the stream, in the order of the new file.
    pub copies: Vec<Segment>,
    /// Instruction sets and link addresses.
    pub address: AddressModel,
}

impl Alignment {
    /// Leaves the `most` longest segments in the map, none shorter than `least` bytes; the others become copies.
    pub fn split(&self, most: usize, least: u32) -> Self {
        let mut all = [&self.segments[..], &self.copies].concat();
        all.sort_by_key(|s| (std::cmp::Reverse(s.len), s.new));
        let mapped = all.iter().take(most).take_while(|s| s.len >= least).count();
        let mut copies = all.split_off(mapped);
        copies.retain(|s| s.len >= LEAST_COPY);
        all.sort_by_key(|s| s.new);
        copies.sort_by_key(|s| s.new);
        Self { segments: all, copies, address: self.address.clone() }
    }
}

/// What one alignment was asked for, and its answer.
struct Known {
    address: AddressModel,
    previous: Vec<Segment>,
    segments: Vec<Segment>,
}

/// Aligns two files again and again. The same question comes up often: before any link address is known, when a pass
/// changes nothing, when more link addresses are allowed than there are. So answers are remembered.
pub struct Aligner<'a> {
    old: &'a [u8],
    new: &'a [u8],
    costs: Costs,
    known: Vec<Known>,
}

impl<'a> Aligner<'a> {
    /// An aligner of `new` with `old`.
    pub fn new(old: &'a [u8], new: &'a [u8], costs: Costs) -> Self {
        Self { old, new, costs, known: Vec::new() }
    }

    /// Segments of the new file over the old image given the address model; `previous` says where addresses went, as
    /// far as known.
    pub fn align(&mut self, address: &AddressModel, previous: &[Segment]) -> Vec<Segment> {
        if let Some(known) = self.known.iter().find(|k| k.address == *address && k.previous == previous) {
            return known.segments.clone();
        }
        let segments = align(self.old, self.new, address, previous, self.costs);
        let known = Known { address: address.clone(), previous: previous.to_vec(), segments: segments.clone() };
        self.known.push(known);
        segments
    }

    /// Aligns the files as plain bytes.
    pub fn plain(&mut self) -> Vec<Segment> {
        self.align(&AddressModel::new(IsaKind::Plain), &[])
    }

    /// Aligns the files, reading both with the instruction sets of `sets`, which has no regions, with at most
    /// `most_regions` link addresses.
    pub fn find(&mut self, sets: &AddressModel, most_regions: usize) -> Alignment {
        let mut address = sets.clone();
        // Where the new file's instruction sets change is known only from an alignment.
        let first = if sets.stretches().is_empty() { Vec::new() } else { self.plain() };
        let mut segments = self.align(&address, &first);
        for _ in 0..2 {
            let mut with_regions = sets.clone();
            let fits = find_regions(self.old, self.new, &segments, most_regions)
                .into_iter()
                .all(|region| with_regions.push(region).is_ok());
            if fits {
                address = with_regions;
            }
            segments = self.align(&address, &segments);
        }
        Alignment { segments, copies: Vec::new(), address }
    }
}

fn align(old: &[u8], new: &[u8], address: &AddressModel, previous: &[Segment], costs: Costs) -> Vec<Segment> {
    let old_sites = Sites::sweep(old, &Reading::of_old(address), |word| address.region_of(word).is_some());
    let is_new_pointer = |word: u32| {
        address.regions().iter().any(|r| {
            let slack = r.len / 16 + 4096;
            let low = r.start.saturating_sub(slack);
            word.wrapping_sub(r.new_base).wrapping_sub(low) < r.len + 2 * slack
        })
    };
    let new_sites = Sites::sweep(new, &Reading::of_new(address, previous), is_new_pointer);
    let by_old = ByOld::new(previous);
    let mapped: Vec<Option<Reference>> =
        old_sites.targets.iter().map(|target| by_old.relocate((*target)?, address, old.len() as u32)).collect();
    let new_targets = if previous.is_empty() { vec![None; new.len()] } else { new_sites.targets };
    let index = SuffixIndex::new(&old_sites.masked);
    let scene = Scene {
        old: &old_sites.masked,
        new: &new_sites.masked,
        old_targets: &mapped,
        new_targets: &new_targets,
        costs,
    };
    scene.segments(&index)
}

/// Segments by their place in the old image, any number of them.
struct ByOld(Vec<Segment>);

impl ByOld {
    fn new(segments: &[Segment]) -> Self {
        let mut sorted = segments.to_vec();
        sorted.sort_by_key(|s| s.old);
        Self(sorted)
    }

    fn relocate(&self, from: Reference, address: &AddressModel, old_len: u32) -> Option<Reference> {
        let (offset, base) = if from.absolute {
            match address.region_of(from.target) {
                Some(r) => (from.target.wrapping_sub(r.old_base), r.new_base),
                None => return Some(from),
            }
        } else if from.target < old_len {
            (from.target, 0)
        } else {
            return Some(from);
        };
        let after = self.0.partition_point(|s| s.old <= offset);
        let s = (1..=4).filter_map(|back| self.0.get(after.checked_sub(back)?)).find(|s| s.holds_old(offset))?;
        Some(Reference { target: (offset - s.old + s.new).wrapping_add(base), absolute: from.absolute })
    }
}

/// Fewest changed words that a base must explain to be sent.
const LEAST_VOTES: usize = 6;
/// Most displacements tried for parts that were moved in the file but not in memory.
const SLIDES: usize = 6;

/// Words that `region` predicts and the raw old word, or the regions before it, do not, less the opposite.
fn gain(region: &Region, before: &[Region], old: &[u8], new: &[u8], segments: &[Segment]) -> i64 {
    let by_old = ByOld::new(segments);
    let mut with = AddressModel::new(IsaKind::Plain);
    let mut without = AddressModel::new(IsaKind::Plain);
    let _ = with.push(*region);
    for r in before {
        let _ = (with.push(*r), without.push(*r));
    }
    let mut sum = 0;
    for (a, b) in bases::words(old, new, segments) {
        if with.region_of(a) == without.region_of(a) {
            continue;
        }
        let right = |model: &AddressModel| {
            let from = Reference { target: a & !1, absolute: true };
            let to = by_old.relocate(from, model, old.len() as u32).map_or(a, |r| r.target | a & 1);
            i64::from(to == b)
        };
        sum += right(&with) - right(&without);
    }
    sum
}

/// The linked parts of the files: link addresses that explain how words changed.
fn find_regions(old: &[u8], new: &[u8], segments: &[Segment], most_regions: usize) -> Vec<Region> {
    let moved = ByShift::new(segments);
    let mut slides: Vec<u32> = vec![0];
    slides.extend(moved.longest(SLIDES));
    let mut changed = bases::changed_words(old, new, segments);
    changed.retain(|c| moved.can_explain(c, &slides));
    let mut regions: Vec<Region> = Vec::new();
    let mut most = 0;
    for _ in 0..6 {
        if regions.len() >= most_regions {
            break;
        }
        let Some(base) = slides
            .iter()
            .filter_map(|&slide| bases::vote(&changed, &moved, slide))
            .max_by_key(|b| b.votes + usize::from(b.old == b.new))
        else {
            break;
        };
        most = most.max(base.votes);
        if base.votes < LEAST_VOTES.max(most / 20) {
            break;
        }
        let (explained, rest): (Vec<_>, Vec<_>) = changed.into_iter().partition(|c| bases::explains(&base, c, &moved));
        changed = rest;
        let offsets = || explained.iter().map(|c| (c.old & !1).wrapping_sub(base.old));
        let (Some(first), Some(last)) = (offsets().min(), offsets().max()) else { break };
        let (start, len) = if regions.is_empty() { (0, old.len() as u32) } else { (first, last - first + 1) };
        // Later, narrower regions are asked first.
        let region = Region { start, len, old_base: base.old, new_base: base.new };
        if gain(&region, &regions, old, new, segments) >= LEAST_VOTES as i64 {
            regions.insert(0, region);
        }
    }
    regions
}
