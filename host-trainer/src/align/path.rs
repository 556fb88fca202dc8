//! The alignment as a cheapest path: at every byte of the new file, either some stretch of the old one
//! continues, or bytes are inserted. Costs are in bits, as the codec would spend them.

use super::sites::Reference;
use super::suffix::SuffixIndex;
use codec_core::delta::map::Segment;

/// Prices, bits.
#[derive(Clone, Copy, Debug)]
pub struct Costs {
    /// A byte that equals its prediction.
    pub hit: f32,
    /// A byte that does not, in a clean stretch.
    pub miss: f32,
    /// A byte that does not, soon after another.
    pub miss_again: f32,
    /// An address that does not map.
    pub address: f32,
    /// An inserted byte.
    pub insert: f32,
    /// A new segment.
    pub segment: f32,
    /// Extra for a segment that starts far from where the last one ended.
    pub far: f32,
}

/// Prices of an inserted byte and of a segment, and by how much a missed byte costs more than usual.
pub type Prices = (f32, f32, f32);

impl Costs {
    /// The usual costs but for these.
    pub fn at(&(insert, segment, missed): &Prices) -> Self {
        let usual = Self::default();
        Self { insert, segment, miss: usual.miss * missed, miss_again: usual.miss_again * missed, ..usual }
    }
}

impl Default for Costs {
    fn default() -> Self {
        Self { hit: 0.03, miss: 12.0, miss_again: 6.5, address: 9.0, insert: 5.2, segment: 22.0, far: 8.0 }
    }
}

const NONE: u32 = u32::MAX;
/// Beam: most alignments followed at a time.
const BEAM: usize = 24;
/// How far back a newly found alignment is extended.
const BACK: usize = 1024;
/// Distance up to which a jump counts as near, bytes.
const NEAR: i64 = 8192;

#[derive(Clone, Copy)]
struct Node {
    /// First byte of the run, in the new file.
    start: u32,
    /// Old offset less new offset; `None` while inserting.
    shift: Option<i64>,
    parent: u32,
}

#[derive(Clone, Copy)]
struct Run {
    shift: i64,
    cost: f32,
    node: u32,
    /// Bytes since the last miss.
    clean: u32,
}

/// What a byte of the new file costs when it is predicted by a byte of the old one.
pub struct Scene<'a> {
    /// Old bytes, addresses masked.
    pub old: &'a [u8],
    /// New bytes, addresses masked.
    pub new: &'a [u8],
    /// At the first byte of an address unit of the old image: where it would point in the new file.
    pub old_targets: &'a [Option<Reference>],
    /// At the first byte of an address unit of the new file: where it points.
    pub new_targets: &'a [Option<Reference>],
    /// Prices.
    pub costs: Costs,
}

impl Scene<'_> {
    #[inline]
    fn step(&self, at: usize, shift: i64, clean: u32) -> Option<(f32, bool)> {
        let from = usize::try_from(at as i64 + shift).ok()?;
        let old = *self.old.get(from)?;
        let c = &self.costs;
        if old != self.new[at] {
            return Some((if clean < 8 { c.miss_again } else { c.miss }, false));
        }
        match (self.old_targets[from], self.new_targets[at]) {
            (Some(a), Some(b)) if a != b => Some((c.address, true)),
            _ => Some((if clean < 8 { c.hit * 10.0 } else { c.hit }, true)),
        }
    }

    /// The cheapest path as segments in the order of the new file.
    pub fn segments(&self, index: &SuffixIndex<'_>) -> Vec<Segment> {
        let n = self.new.len();
        let c = &self.costs;
        let mut nodes = vec![Node { start: 0, shift: None, parent: NONE }];
        let mut inserting = (0f32, 0u32);
        let mut runs: Vec<Run> = Vec::new();
        // Cheapest way to have coded the first i bytes, the node it ends in, and the shift last used.
        let mut best = Vec::with_capacity(n + 1);
        best.push((0f32, 0u32, 0i64));
        let mut skip_until = 0;
        for i in 0..n {
            let (_, _, best_shift) = best[i];
            let settled = runs.iter().any(|r| r.shift == best_shift && r.clean >= 32);
            if i >= skip_until && (!settled || i % 16 == 0) {
                if let Some(found) = index.longest(&self.new[i..], 6, 400) {
                    let expected = i as i64 + best_shift;
                    let mut starts: Vec<i64> = found.ranks.take(256).map(|rank| index.start(rank) as i64).collect();
                    starts.sort_unstable_by_key(|s| (s - expected).abs());
                    for start in starts.into_iter().take(3) {
                        self.enter(i, start - i as i64, &best, &mut runs, &mut nodes);
                    }
                }
                skip_until = i + 2;
            }
            runs.retain_mut(|run| match self.step(i, run.shift, run.clean) {
                Some((cost, hit)) => {
                    run.cost += cost;
                    run.clean = if hit { run.clean + 1 } else { 0 };
                    true
                }
                None => false,
            });
            inserting.0 += c.insert;
            let mut now = (inserting.0, inserting.1, best_shift);
            for run in &runs {
                if run.cost < now.0 {
                    now = (run.cost, run.node, run.shift);
                }
            }
            best.push(now);
            if now.1 != inserting.1 && now.0 < inserting.0 {
                nodes.push(Node { start: i as u32 + 1, shift: None, parent: now.1 });
                inserting = (now.0, nodes.len() as u32 - 1);
            }
            let limit = now.0 + c.segment + c.far;
            runs.retain(|r| r.cost <= limit);
            if runs.len() > BEAM {
                runs.sort_by(|a, b| a.cost.total_cmp(&b.cost));
                runs.truncate(BEAM);
            }
        }
        self.trace(&nodes, best[n].1)
    }

    /// Adds the alignment `shift` found at `at`, from wherever before it would best have begun.
    fn enter(&self, at: usize, shift: i64, best: &[(f32, u32, i64)], runs: &mut Vec<Run>, nodes: &mut Vec<Node>) {
        if runs.iter().any(|r| r.shift == shift) {
            return;
        }
        let c = &self.costs;
        let price = |j: usize| {
            let jump = (best[j].2 - shift).abs();
            best[j].0 + c.segment + if jump > NEAR { c.far } else { 0.0 }
        };
        let (mut cheapest, mut start) = (price(at), at);
        let (mut cost, mut clean) = (0f32, 8);
        for j in (at.saturating_sub(BACK)..at).rev() {
            let Some((step, hit)) = self.step(j, shift, clean) else { break };
            cost += step;
            clean = if hit { clean + 1 } else { 0 };
            if cost > 90.0 {
                break;
            }
            let total = price(j) + cost;
            if total < cheapest {
                (cheapest, start) = (total, j);
            }
        }
        nodes.push(Node { start: start as u32, shift: Some(shift), parent: best[start].1 });
        runs.push(Run { shift, cost: cheapest, node: nodes.len() as u32 - 1, clean: 8 });
    }

    fn trace(&self, nodes: &[Node], last: u32) -> Vec<Segment> {
        let mut segments: Vec<Segment> = Vec::new();
        let mut end = self.new.len() as u32;
        let mut at = last;
        while at != NONE {
            let node = nodes[at as usize];
            if let Some(shift) = node.shift
                && node.start < end
            {
                let old = (i64::from(node.start) + shift) as u32;
                match segments.last_mut() {
                    // The path may leave an alignment and take it up at the very same place.
                    Some(next) if next.new == end && i64::from(next.old) - i64::from(next.new) == shift => {
                        next.len += next.new - node.start;
                        (next.new, next.old) = (node.start, old);
                    }
                    _ => segments.push(Segment { new: node.start, old, len: end - node.start }),
                }
            }
            end = end.min(node.start);
            at = node.parent;
        }
        segments.reverse();
        self.trim(&mut segments);
        segments
    }

    /// Ends of segments that miss more than they hit are better inserted.
    fn trim(&self, segments: &mut Vec<Segment>) {
        for s in segments.iter_mut() {
            let differs = |k: u32| self.old[(s.old + k) as usize] != self.new[(s.new + k) as usize];
            let mut len = s.len;
            while len > 0 && differs(len - 1) {
                len -= 1;
            }
            let mut skip = 0;
            while skip < len && differs(skip) {
                skip += 1;
            }
            *s = Segment { new: s.new + skip, old: s.old + skip, len: len - skip };
        }
        segments.retain(|s| s.len > 0);
    }
}
