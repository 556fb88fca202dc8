//! Order in which blocks are replaced in place: few bytes must be needed after they are gone.
//!
//! Each new block that copies bytes of another old block wants to come before that one. Where such wishes form a cycle,
//! some are denied, and their bytes travel through the script. Which ones is the feedback arc set problem; the greedy
//! heuristic of Eades, Lin and Smyth (1993) takes sources and sinks first, then the block with the most to win.

use std::collections::BTreeMap;

use update_core::inplace::Run;

/// `needs[b]`: bytes that new block `b` copies from each old block, itself left out.
pub type Needs = Vec<BTreeMap<usize, u64>>;

/// An order of all blocks that denies few bytes. Where several would do, it goes on up or down from the last one.
pub fn greedy(needs: &Needs) -> Vec<usize> {
    let n = needs.len();
    let mut needed_by: Needs = vec![BTreeMap::new(); n];
    for (block, sources) in needs.iter().enumerate() {
        for (&source, &bytes) in sources {
            if source < n {
                needed_by[source].insert(block, bytes);
            }
        }
    }
    // Bytes a block wants from others that are left, and bytes they want from it.
    let mut wants: Vec<u64> = needs.iter().map(|s| s.range(..n).map(|(_, b)| b).sum()).collect();
    let mut wanted: Vec<u64> = needed_by.iter().map(|s| s.values().sum()).collect();
    let mut left: Vec<bool> = vec![true; n];
    let (mut front, mut back) = (Vec::new(), Vec::new());
    while front.len() + back.len() < n {
        let near = |last: Option<&usize>, fit: &dyn Fn(usize) -> bool| {
            let beside = last.into_iter().flat_map(|&l| [l.checked_add(1), l.checked_sub(1)]).flatten();
            beside.chain(0..n).find(|&block| block < n && left[block] && fit(block))
        };
        let (block, place) = if let Some(block) = near(front.last(), &|b| wanted[b] == 0) {
            (block, &mut front)
        } else if let Some(block) = near(back.last(), &|b| wants[b] == 0) {
            (block, &mut back)
        } else {
            // Placed first, it gets all it wants and denies what is wanted of it.
            let gain = |b: usize| wants[b] as i64 - wanted[b] as i64;
            let best = (0..n).filter(|&b| left[b]).map(gain).max().unwrap_or(0);
            let Some(block) = near(front.last(), &|b| gain(b) == best) else { break };
            (block, &mut front)
        };
        place.push(block);
        left[block] = false;
        for (&source, bytes) in needs[block].range(..n) {
            wanted[source] -= bytes;
        }
        for (&needer, bytes) in &needed_by[block] {
            wants[needer] -= bytes;
        }
    }
    front.extend(back.into_iter().rev());
    front
}

/// The order as runs of neighbours.
pub fn runs(order: &[usize]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for &block in order {
        let block = block as u16;
        if let Some(run) = runs.last_mut() {
            let up = run.first <= run.last && block.checked_sub(1) == Some(run.last);
            let down = run.first >= run.last && block.checked_add(1) == Some(run.last);
            if up || down {
                run.last = block;
                continue;
            }
        }
        runs.push(Run { first: block, last: block });
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(edges: &[(usize, usize, u64)], n: usize) -> Needs {
        let mut needs = vec![BTreeMap::new(); n];
        for &(block, source, bytes) in edges {
            needs[block].insert(source, bytes);
        }
        needs
    }

    #[test]
    fn chains_are_kept_whole() {
        // Every block needs the one below it: an insertion. The last one must go first.
        let up: Vec<_> = (1..6).map(|b| (b, b - 1, 100)).collect();
        assert_eq!(runs(&greedy(&needs(&up, 6))), [Run { first: 5, last: 0 }]);
        let down: Vec<_> = (0..5).map(|b| (b, b + 1, 100)).collect();
        assert_eq!(runs(&greedy(&needs(&down, 6))), [Run { first: 0, last: 5 }]);
    }

    #[test]
    fn the_lighter_wish_of_a_cycle_is_denied() {
        let order = greedy(&needs(&[(0, 2, 10), (2, 0, 90)], 3));
        let place = |block| order.iter().position(|&b| b == block);
        assert!(place(2) < place(0), "{order:?}");
    }

    #[test]
    fn every_block_once() {
        let edges: Vec<_> =
            (0..40usize).map(|i| (i * 7 % 20, i * 13 % 20, (i % 5) as u64)).filter(|e| e.0 != e.1).collect();
        let mut order = greedy(&needs(&edges, 20));
        order.sort_unstable();
        assert_eq!(order, (0..20).collect::<Vec<_>>());
    }
}
