//! Alignment: segments, instruction set and link addresses, found together.

pub mod bases;
pub mod path;
pub mod sites;
pub mod suffix;

use codec_core::delta::map::Segment;
use codec_core::reloc::IsaKind;
use codec_core::reloc::address::{AddressModel, Region};
use path::{Costs, Scene};
use sites::{Addresses, Sites};
use std::collections::HashMap;
use suffix::SuffixIndex;

/// What the aligner found.
#[derive(Clone, Debug)]
pub struct Alignment {
    /// Segments in the order of the new file.
    pub segments: Vec<Segment>,
    /// Instruction set and link addresses.
    pub address: AddressModel,
}

struct OldSide<'a>(&'a AddressModel);
struct NewSide<'a>(&'a AddressModel);

impl Addresses for OldSide<'_> {
    fn address(&self, offset: u32) -> u32 {
        self.0.old_address(offset)
    }
    fn is_pointer(&self, word: u32) -> bool {
        self.0.region_of(word).is_some()
    }
}

impl Addresses for NewSide<'_> {
    fn address(&self, offset: u32) -> u32 {
        self.0.new_address(offset)
    }
    fn is_pointer(&self, word: u32) -> bool {
        self.0.regions().iter().any(|r| word.wrapping_sub(r.new_address) < r.len)
    }
}

/// Segments of `new` over `old` given the address model; `previous` says where addresses went, as far as known.
pub fn align(old: &[u8], new: &[u8], address: &AddressModel, previous: &[Segment], costs: Costs) -> Vec<Segment> {
    let old_sites = Sites::sweep(old, address.isa, &OldSide(address));
    let new_sites = Sites::sweep(new, address.isa, &NewSide(address));
    let by_old = ByOld::new(previous);
    let mapped: Vec<Option<u32>> = old_sites
        .targets
        .iter()
        .map(|target| by_old.relocate((*target)?, address, old.len() as u32))
        .collect();
    let new_targets = if previous.is_empty() { vec![None; new.len()] } else { new_sites.targets };
    let index = SuffixIndex::new(&old_sites.masked);
    let scene =
        Scene { old: &old_sites.masked, new: &new_sites.masked, old_targets: &mapped, new_targets: &new_targets, costs };
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

    fn relocate(&self, target: u32, address: &AddressModel, old_len: u32) -> Option<u32> {
        let region = address.region_of(target).copied();
        let offset = match region {
            Some(r) => target.wrapping_sub(r.old_address).wrapping_add(r.old),
            None if address.regions().is_empty() && target < old_len => target,
            None => return Some(target),
        };
        let after = self.0.partition_point(|s| s.old <= offset);
        let s = (1..=4).filter_map(|back| self.0.get(after.checked_sub(back)?)).find(|s| offset - s.old < s.len)?;
        let new = offset - s.old + s.new;
        Some(match region {
            Some(r) => new.wrapping_sub(r.new).wrapping_add(r.new_address),
            None => new,
        })
    }
}

/// Fewest changed words that a base must explain to be sent.
const LEAST_VOTES: usize = 6;
/// Most displacements tried for parts that were moved in the file but not in memory.
const SLIDES: usize = 6;

/// The linked parts of the files: link addresses that explain how words changed.
fn find_regions(old: &[u8], new: &[u8], segments: &[Segment]) -> Vec<Region> {
    let mut changed = bases::changed_words(old, new, segments);
    let mut slides: Vec<u32> = vec![0];
    let mut by_shift: HashMap<u32, u32> = HashMap::new();
    for s in segments {
        *by_shift.entry(s.new.wrapping_sub(s.old)).or_default() += s.len;
    }
    let mut shifts: Vec<(u32, u32)> = by_shift.into_iter().filter(|s| s.0 != 0).collect();
    shifts.sort_unstable_by_key(|&(shift, len)| (std::cmp::Reverse(len), shift));
    slides.extend(shifts.iter().take(SLIDES).map(|s| s.0));
    // (first offset explained, last offset explained, base)
    let mut found: Vec<(u32, u32, bases::Base)> = Vec::new();
    while found.len() < 4 {
        let Some(base) = slides
            .iter()
            .filter_map(|&slide| bases::vote(&changed, segments, slide))
            .max_by_key(|b| b.votes + usize::from(b.old == b.new))
        else {
            break;
        };
        if base.votes < LEAST_VOTES {
            break;
        }
        let (explained, rest): (Vec<_>, Vec<_>) =
            changed.into_iter().partition(|c| bases::explains(&base, c, segments));
        changed = rest;
        let mut offsets: Vec<u32> = explained.iter().map(|c| (c.old & !1).wrapping_sub(base.old)).collect();
        offsets.sort_unstable();
        let (Some(&first), Some(&last)) = (offsets.get(offsets.len() / 50), offsets.last()) else { break };
        if !found.is_empty() && explained.len() < LEAST_VOTES.max(found[0].2.votes / 50) {
            break;
        }
        found.push((first, last, base));
    }
    found.sort_by_key(|f| f.0);
    let mut regions: Vec<Region> = Vec::new();
    let mut edge = 0;
    for (i, &(first, _, base)) in found.iter().enumerate() {
        let start = if i == 0 { 0 } else { edge.max(first & !0xff) };
        let end = found.get(i + 1).map_or(old.len() as u32, |next| next.0 & !0xff).max(start);
        let new_start = if i == 0 { 0 } else { start.wrapping_add(base.old.wrapping_sub(base.new)) };
        let slide = base.old.wrapping_sub(base.new);
        let (new_start, new_address) = if slide == 0 || i == 0 {
            (start, base.new.wrapping_add(start))
        } else {
            (new_start, base.new.wrapping_add(new_start))
        };
        regions.push(Region {
            old: start,
            new: new_start,
            len: end - start,
            old_address: base.old.wrapping_add(start),
            new_address,
        });
        edge = end;
    }
    regions
}

/// Aligns `new` with `old`, reading both as code for `isa`.
pub fn find(old: &[u8], new: &[u8], isa: IsaKind) -> Alignment {
    let mut address = AddressModel::new(isa);
    let mut segments = align(old, new, &address, &[], Costs::default());
    for _ in 0..2 {
        let mut with_regions = AddressModel::new(isa);
        let fits = find_regions(old, new, &segments).into_iter().all(|region| with_regions.push(region).is_ok());
        if fits {
            address = with_regions;
        }
        segments = align(old, new, &address, &segments, Costs::default());
    }
    Alignment { segments, address }
}
