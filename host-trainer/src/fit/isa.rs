//! Which instruction set is this? Asked of the update itself: how many changed units does each explain?

use crate::align::sites::window;
use codec_core::delta::map::{Map, SEGMENT_WORDS, Segment};
use codec_core::limits::Profile;
use codec_core::reloc::address::{AddressModel, Stretch, Target};
use codec_core::reloc::{Isa, IsaKind, Kind};

/// The old image is asked in blocks of so many bytes.
const BLOCK: u32 = 128;
/// What a change of the instruction set is taken to cost, in bytes of changed units that it must explain. Updates that
/// change little have little evidence; in those that change much, some of it is chance.
const SWITCHES: [i64; 2] = [8, 48];

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

/// The instruction sets by parts of the image when a change costs `switch`, where more than one is used.
fn mixed(scores: &[(IsaKind, Vec<i64>)], switch: i64, old_len: u32) -> Option<AddressModel> {
    // A higher price leaves fewer stretches; in the end there is one set for all.
    let mut models = (0..30).filter_map(|doubled| model(&label(scores, switch << doubled), old_len));
    models.next().filter(|model| !model.stretches().is_empty())
}

/// The instruction sets worth trying that readers of the profile know, best first, without regions; never
/// [`IsaKind::Plain`] for all of the image.
pub fn candidates(old: &[u8], new: &[u8], segments: &[Segment], profile: Profile) -> Vec<AddressModel> {
    let most = segments.len().min(usize::from(u16::MAX));
    let mut map = Map::new(vec![0; most * SEGMENT_WORDS]);
    // There is room: the memory was made for it.
    let _ = map.reserve(most);
    for s in segments.iter().take(most) {
        // The aligner's segments are legal.
        let _ = map.push(*s, old.len() as u32, new.len() as u32);
    }
    let known = IsaKind::ALL.into_iter().filter(|isa| profile == Profile::Host || isa.is_for_devices());
    let blocks: Vec<(IsaKind, Vec<i64>)> = known.map(|isa| (isa, scores(old, new, segments, &map, isa))).collect();
    let mut scored: Vec<(i64, IsaKind)> =
        blocks.iter().map(|(isa, scores)| (scores.iter().sum(), *isa)).filter(|(score, _)| *score > 0).collect();
    scored.sort_by_key(|(score, isa)| (std::cmp::Reverse(*score), isa.id()));
    let best = scored.first().map_or(0, |s| s.0);
    let single = scored.into_iter().filter(|(score, _)| score * 2 >= best).take(2);
    let mut models: Vec<_> = single.map(|(_, isa)| AddressModel::new(isa)).collect();
    models.extend(SWITCHES.into_iter().filter_map(|switch| mixed(&blocks, switch, old.len() as u32)));
    models.dedup();
    models
}

#[cfg(test)]
mod tests {
    use super::*;

    const SWITCH: i64 = 8;

    /// Scores of two sets, a block a column.
    fn scores(thumb: &[i64], rv32: &[i64]) -> Vec<(IsaKind, Vec<i64>)> {
        vec![(IsaKind::Thumb, thumb.to_vec()), (IsaKind::Rv32, rv32.to_vec())]
    }

    #[test]
    fn little_evidence_switches_nothing() {
        let scores = scores(&[40, 2, -3, 40], &[0, 4, 4, 0]);
        assert_eq!(label(&scores, SWITCH), [IsaKind::Thumb; 4]);
        assert!(mixed(&scores, SWITCH, 4 * BLOCK).is_none());
    }

    #[test]
    fn the_longer_part_is_the_rest() {
        let scores = scores(&[40, 0, 0, -40, 0], &[-40, 0, 20, 40, 20]);
        let model = mixed(&scores, SWITCH, 5 * BLOCK - 1).unwrap();
        assert_eq!(model.isa, IsaKind::Rv32);
        assert!(matches!(model.stretches(), [Stretch { start: 0, isa: IsaKind::Thumb, .. }]), "{model:?}");
        assert_eq!(model.isa_at(3 * BLOCK).0, IsaKind::Rv32);
    }

    #[test]
    fn what_does_not_fit_is_asked_again_at_a_higher_price() {
        // Many small islands, and a large one that is worth a stretch at any price.
        let islands: Vec<i64> = (0..40).map(|i| if i % 2 == 0 { 20 } else { -20 }).collect();
        let thumb = [&islands[..], &[-1000; 10], &[0; 50]].concat();
        let rv32: Vec<i64> = thumb.iter().map(|score| -score).collect();
        let model = mixed(&scores(&thumb, &rv32), SWITCH, 100 * BLOCK).unwrap();
        assert_eq!(model.isa_at(45 * BLOCK).0, IsaKind::Rv32, "{model:?}");
    }

    #[test]
    fn no_image_has_no_parts() {
        assert!(mixed(&scores(&[], &[]), SWITCH, 0).is_none());
    }
}
