//! The claims that the project started from, each with what was measured.

use super::low_rank::{LowRank, Start};
use super::memory::{ADAM_RATE, FLOAT, Memory};
use super::{Data, Residual};
use crate::report::format::{seconds, thousands};
use serde::Serialize;

/// A claim and its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Claim {
    /// What was claimed.
    pub claim: &'static str,
    /// Whether that is what was measured; none where the run has nothing to say on it.
    pub holds: Option<bool>,
    /// What was measured.
    pub measured: String,
}

/// Smallest and largest of some numbers.
fn range<T: PartialOrd + Copy>(values: impl Iterator<Item = T>) -> Option<(T, T)> {
    values.fold(None, |range, value| {
        let (least, most) = range.unwrap_or((value, value));
        Some((if value < least { value } else { least }, if value > most { value } else { most }))
    })
}

fn percent(share: f64) -> String {
    if share == 1.0 { "100 %".into() } else { format!("{:.1} %", 100.0 * share) }
}

/// The memory of 64 floats a byte under a random projection, as the claims mean it.
fn claimed(data: &Data) -> Option<&Memory> {
    data.memories.iter().find(|m| m.dim == 64 && m.projection == super::memory::Projection::Random)
}

fn low_rank(random: &[&Data]) -> Claim {
    let all = || random.iter().flat_map(|data| &data.low_rank);
    let learned = || all().filter(|adapter| adapter.start == Start::UpZero);
    // An adapter of more numbers than the file has bytes has the room to store it, at several times the file.
    let is_small = |adapter: &&LowRank| adapter.bytes_per_byte < 4.0;
    let small = range(learned().filter(is_small).map(|adapter| adapter.right));
    let mut measured = match small {
        Some((least, most)) => {
            format!("with fewer numbers than the file has bytes: {} to {}", percent(least), percent(most))
        }
        None => "no adapter had fewer numbers than a file has bytes".into(),
    };
    let exact = range(learned().filter(|adapter| adapter.exact).map(|adapter| adapter.bytes_per_byte));
    if let Some((least, _)) = exact {
        measured += &format!("; exact only from {least:.1} times the file on");
    }
    if !random.is_empty() && all().filter(|adapter| adapter.start == Start::BothZero).all(|a| a.moved == 0.0) {
        measured += "; with both matrices zero nothing moved";
    }
    let holds = small.map(|(_, most)| most < 0.1);
    Claim { claim: "a low-rank adapter reaches about 5 % on random data", holds, measured }
}

/// The answers that these measurements give.
pub fn answer(data: &[Data], mebibyte: &Residual) -> Vec<Claim> {
    let random: Vec<&Data> = data.iter().filter(|data| data.is_random).collect();
    let memories: Vec<&Memory> = random.iter().filter_map(|data| claimed(data)).collect();
    let exact = memories.iter().all(|m| m.held.iter().any(|held| held.bits == FLOAT && held.exact));
    let steps = range(memories.iter().map(|m| m.iterations)).unwrap_or_default();
    let by_adam = range(random.iter().map(|data| data.adam.iterations)).unwrap_or_default();
    let took = range(memories.iter().map(|m| m.seconds)).unwrap_or_default();
    let adapter = |m: &&Memory| m.held.iter().find(|held| held.bits == FLOAT).map(|held| held.adapter_bytes);
    let sizes: Vec<String> = random
        .iter()
        .zip(&memories)
        .filter_map(|(data, m)| Some(format!("{} for {} bytes", thousands(adapter(m)?), thousands(data.bytes))))
        .collect();
    // The files that were meant.
    let short = random.iter().zip(&memories).filter(|(data, _)| (128..=512).contains(&data.bytes));
    let from_to =
        |(least, most): (u32, u32)| if least == most { least.to_string() } else { format!("{least} to {most}") };
    let some = |holds: bool| (!random.is_empty()).then_some(holds);
    vec![
        low_rank(&random),
        Claim {
            claim: "a position memory is right in every byte after about 11 iterations",
            holds: some(exact && steps.1 <= 11),
            measured: format!(
                "64 floats a byte, random projection: after {} of gradient descent from zero, which is a closed \
                 form, and {} of Adam (rate {ADAM_RATE}) from random numbers",
                from_to(steps),
                from_to(by_adam)
            ),
        },
        Claim {
            claim: "a file takes 0.18 to 0.34 s",
            holds: some(took.1 <= 0.34),
            measured: format!(
                "{}{} to {}, on this machine",
                if took.1 < 0.18 { "less: " } else { "" },
                seconds(took.0),
                seconds(took.1)
            ),
        },
        Claim {
            claim: "an adapter has 32 to 131 KB",
            holds: range(short.filter_map(|(_, m)| adapter(m))).map(|(least, most)| least >= 32_000 && most < 132_000),
            measured: format!("{}: 256 times the file, of 64 floats a byte", sizes.join(", ")),
        },
        Claim {
            claim: "1 MB becomes 13 KB",
            holds: Some(mebibyte.bytes < 14_000),
            measured: format!(
                "{} random bytes take {} bytes, {:.5} of themselves; nothing that rebuilds them takes less",
                thousands(mebibyte.original_bytes),
                thousands(mebibyte.bytes),
                mebibyte.bytes_per_byte
            ),
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::super::{Settings, run};
    use crate::backend::cpu::Cpu;

    fn holds(lengths: &[usize]) -> Vec<Option<bool>> {
        let settings = Settings { lengths: lengths.to_vec(), files: Vec::new(), seed: 3, most: 30 };
        let report = run(&Cpu::new(1), &settings, &|_, _, _| {}).unwrap();
        assert!(report.claims.iter().all(|claim| !claim.measured.is_empty()));
        report.claims.iter().map(|claim| claim.holds).collect()
    }

    #[test]
    fn each_claim_is_answered_or_said_to_be_open() {
        let found = holds(&[512]);
        assert_eq!((found[0], found[1], found[3], found[4]), (Some(true), Some(true), Some(true), Some(false)));
        assert_eq!(holds(&[]), [None, None, None, None, Some(false)]);
    }
}
