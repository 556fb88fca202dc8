//! Which instruction set is this? Asked of the update itself: how many changed units does each explain?

use crate::align::sites::window;
use codec_core::delta::map::{Map, SEGMENT_WORDS, Segment};
use codec_core::reloc::address::{AddressModel, Stretch, Target};
use codec_core::reloc::{Isa, IsaKind, Kind};

/// The old image is asked in blocks of so many bytes.
const BLOCK: u32 = 256;
/// What another instruction set must explain before it is switched to and back, bytes of changed units a switch.
const SWITCH: i64 = 48;

/// By block of the old image: bytes of changed units that relocation through `segments` predicts, less those of
/// unchanged ones that it would break.
fn scores(old: &[u8], new: &[u8], segments: &[Segment], map: &Map<Vec<u16>>, isa: IsaKind) -> Vec<i64> {
    let mut blocks = vec![0; old.len().div_ceil(BLOCK as usize)];
    for s in segments {
        let mut at = s.old.next_multiple_of(isa.align());
        while at < s.old_end() {
            let view = window(old, at as usize);
            let site = isa.site(&view, at);
            let len = u32::from(site.len);
            let to = at - s.old + s.new;
            let relative = !matches!(site.kind, Kind::Plain | Kind::Pointer | Kind::AbsAddress);
            if relative && at + len <= s.old_end() {
                let target = AddressModel::relocate_offset(site.target, old.len() as u32, map);
                if let Target::Inside(target) = target
                    && let Some(word) = isa.relocate(&view, &site, to, target)
                {
                    let (a, b) = (&old[at as usize..(at + len) as usize], &new[to as usize..(to + len) as usize]);
                    let predicted = &word.to_le_bytes()[..len as usize] == b;
                    let block = &mut blocks[(at / BLOCK) as usize];
                    match (a == b, predicted) {
                        (false, true) => *block += i64::from(len),
                        (true, false) => *block -= i64::from(len),
                        _ => {}
                    }
                }
            }
            at += len;
        }
    }
    blocks
}

/// The instruction set of each block when a change of it costs `switch`: the way through the blocks that scores most.
fn label(scores: &[(IsaKind, Vec<i64>)], switch: i64) -> Vec<IsaKind> {
    let blocks = scores.first().map_or(0, |s| s.1.len());
    // What each set has scored on the best way that ends with it, and where that way came from.
    let mut sums = vec![0; scores.len()];
    let mut from: Vec<Vec<usize>> = Vec::with_capacity(blocks);
    for block in 0..blocks {
        let (best, most) = best_of(&sums);
        let mut came = Vec::with_capacity(scores.len());
        for (set, sum) in sums.iter_mut().enumerate() {
            let stays = *sum >= most - switch;
            came.push(if stays { set } else { best });
            *sum = (*sum).max(most - switch) + scores[set].1[block];
        }
        from.push(came);
    }
    let (mut set, _) = best_of(&sums);
    let mut labels = Vec::with_capacity(blocks);
    for came in from.iter().rev() {
        labels.push(scores[set].0);
        set = came[set];
    }
    labels.reverse();
    labels
}

/// The first of the largest sums, and its place.
fn best_of(sums: &[i64]) -> (usize, i64) {
    sums.iter().copied().enumerate().max_by_key(|&(set, sum)| (sum, std::cmp::Reverse(set))).unwrap_or((0, 0))
}

/// The labelled blocks as stretches beside the set that leaves fewest of them; `None` when there are too many.
fn model(labels: &[IsaKind], old_len: u32) -> Option<AddressModel> {
    let mut runs: Vec<Stretch> = Vec::new();
    for (block, &isa) in labels.iter().enumerate() {
        let start = block as u32 * BLOCK;
        let len = BLOCK.min(old_len - start);
        match runs.last_mut() {
            Some(run) if run.isa == isa => run.len += len,
            _ => runs.push(Stretch { start, len, isa }),
        }
    }
    let share = |isa: IsaKind| {
        let own = || runs.iter().filter(|run| run.isa == isa);
        (own().count(), own().map(|run| u64::from(run.len)).sum::<u64>())
    };
    let rest = IsaKind::ALL.into_iter().max_by_key(|&isa| share(isa))?;
    let mut model = AddressModel::new(rest);
    runs.iter().filter(|run| run.isa != rest).try_for_each(|&run| model.push_stretch(run, old_len)).ok()?;
    Some(model)
}

/// The instruction sets by parts of the image, where more than one is used.
fn mixed(scores: &[(IsaKind, Vec<i64>)], old_len: u32) -> Option<AddressModel> {
    // A higher price leaves fewer stretches; in the end there is one set for all.
    let models = (0..20).map(|doubled| model(&label(scores, SWITCH << doubled), old_len));
    models.flatten().next().filter(|model| !model.stretches().is_empty())
}

/// The instruction sets worth trying, best first, without regions; never [`IsaKind::Plain`] for all of the image.
pub fn candidates(old: &[u8], new: &[u8], segments: &[Segment]) -> Vec<AddressModel> {
    let most = segments.len().min(usize::from(u16::MAX));
    let mut map = Map::new(vec![0; most * SEGMENT_WORDS]);
    // There is room: the memory was made for it.
    let _ = map.reserve(most);
    for s in segments.iter().take(most) {
        // The aligner's segments are legal.
        let _ = map.push(*s, old.len() as u32, new.len() as u32);
    }
    let blocks: Vec<(IsaKind, Vec<i64>)> =
        IsaKind::ALL.into_iter().map(|isa| (isa, scores(old, new, segments, &map, isa))).collect();
    let mut scored: Vec<(i64, IsaKind)> =
        blocks.iter().map(|(isa, scores)| (scores.iter().sum(), *isa)).filter(|(score, _)| *score > 0).collect();
    scored.sort_by_key(|(score, isa)| (std::cmp::Reverse(*score), isa.id()));
    let best = scored.first().map_or(0, |s| s.0);
    let single = scored.into_iter().filter(|(score, _)| score * 2 >= best).take(2);
    single.map(|(_, isa)| AddressModel::new(isa)).chain(mixed(&blocks, old.len() as u32)).collect()
}
