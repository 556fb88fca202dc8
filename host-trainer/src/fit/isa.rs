//! Which instruction set is this? Asked of the update itself: how many changed units does each explain?

use crate::align::sites::window;
use codec_core::delta::map::{Map, Segment};
use codec_core::reloc::address::{AddressModel, Target};
use codec_core::reloc::{Isa, IsaKind, Kind};

/// Changed units that relocation through `segments` predicts, less unchanged ones that it would break.
fn score(old: &[u8], new: &[u8], segments: &[Segment], map: &Map<65535>, isa: IsaKind) -> i64 {
    let mut sum = 0;
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
                    match (a == b, predicted) {
                        (false, true) => sum += i64::from(len),
                        (true, false) => sum -= i64::from(len),
                        _ => {}
                    }
                }
            }
            at += len;
        }
    }
    sum
}

/// The instruction sets worth trying, best first; never [`IsaKind::Plain`].
pub fn candidates(old: &[u8], new: &[u8], segments: &[Segment]) -> Vec<IsaKind> {
    let mut map: Box<Map<65535>> = Box::default();
    for s in segments.iter().take(65535) {
        // The aligner's segments are legal.
        let _ = map.push(*s, old.len() as u32, new.len() as u32);
    }
    let mut scored: Vec<(i64, IsaKind)> = IsaKind::ALL
        .into_iter()
        .filter(|isa| *isa != IsaKind::Plain)
        .map(|isa| (score(old, new, segments, &map, isa), isa))
        .filter(|(score, _)| *score > 0)
        .collect();
    scored.sort_by_key(|(score, isa)| (std::cmp::Reverse(*score), isa.id()));
    let best = scored.first().map_or(0, |s| s.0);
    scored.into_iter().filter(|(score, _)| score * 2 >= best).take(2).map(|(_, isa)| isa).collect()
}
