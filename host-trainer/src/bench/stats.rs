//! Means over ratios, and what kind of update a pair is.

use serde::Serialize;

/// How much of a file an update changes, judged by the best peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The smallest patch of any peer has less than 100 bytes.
    Tiny,
    /// ... less than 8 % of the new file.
    Near,
    /// All others.
    Far,
}

impl Kind {
    /// The kind of an update to `new_size` bytes whose smallest peer patch has `best` bytes.
    #[must_use]
    pub fn of(best: u64, new_size: u64) -> Self {
        if best < 100 {
            Self::Tiny
        } else if u128::from(best) * 100 < u128::from(new_size) * 8 {
            Self::Near
        } else {
            Self::Far
        }
    }

    /// The name as reports show it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tiny => "tiny",
            Self::Near => "near",
            Self::Far => "far",
        }
    }
}

/// Geometric mean of positive values; `None` when there are none.
#[must_use]
pub fn geometric_mean(values: &[f64]) -> Option<f64> {
    if values.is_empty() {
        return None;
    }
    Some((values.iter().map(|value| value.ln()).sum::<f64>() / values.len() as f64).exp())
}

/// Middle value, or the mean of the two middle ones; `None` when there are none.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        len if len.is_multiple_of(2) => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
        _ => Some(sorted[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_and_medians() {
        assert_eq!(geometric_mean(&[]), None);
        assert!((geometric_mean(&[0.5, 2.0]).unwrap() - 1.0).abs() < 1e-12);
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn kinds_have_sharp_borders() {
        assert_eq!(Kind::of(99, 1000), Kind::Tiny);
        assert_eq!(Kind::of(100, 1251), Kind::Near);
        assert_eq!(Kind::of(100, 1250), Kind::Far);
    }
}
