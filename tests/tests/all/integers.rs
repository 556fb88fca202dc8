//! The integer tables against floating point, and the promises that the coder builds on.

use std::fs;
use std::path::Path;

use codec_core::mix::{LOGIT_MAX, squash, stretch};

/// Parts of one in a logit.
const ONE: f64 = 256.0;
/// Entries of the table of the logistic function are this far apart.
const STEP: i32 = 16;

fn logistic(logit: i32) -> f64 {
    65536.0 / (1.0 + (-f64::from(logit) / ONE).exp())
}

fn logit(p: u32) -> f64 {
    ONE * (f64::from(p) / f64::from(65536 - p)).ln()
}

fn near(found: f64, expected: f64, tolerance: f64) -> bool {
    (found - expected).abs() <= tolerance
}

/// Where no interpolation takes part, every entry is the rounded value.
#[test]
fn the_logistic_table_is_the_rounded_function() {
    let most = LOGIT_MAX / STEP * STEP;
    for logit in (-most..=most).step_by(STEP as usize) {
        let expected = logistic(logit).round().clamp(1.0, 65535.0) as u32;
        assert_eq!(squash(logit), expected, "squash({logit})");
    }
}

/// A chord of a sixteenth lies at most 3.1 of 65536 beside the curve; rounding down adds one, the entries a half.
#[test]
fn squash_is_near_the_function() {
    for logit in -LOGIT_MAX..=LOGIT_MAX {
        assert!(near(squash(logit).into(), logistic(logit), 4.7), "squash({logit}) = {}", squash(logit));
    }
}

/// The mantissa is cut to 8 bits on both sides (1/256 each), tables and shift round.
#[test]
fn stretch_is_near_the_function() {
    for p in 1..=65535 {
        assert!(near(stretch(p).into(), logit(p), 2.5), "stretch({p}) = {}, not {}", stretch(p), logit(p));
    }
}

#[test]
fn both_grow_and_are_clamped() {
    assert!((-LOGIT_MAX..LOGIT_MAX).all(|x| squash(x) <= squash(x + 1)));
    assert!((1..65535).all(|p| stretch(p) <= stretch(p + 1)));
    for (logit, p) in [(i32::MIN, 1), (-LOGIT_MAX, 1), (0, 32768), (LOGIT_MAX, 65535), (i32::MAX, 65535)] {
        assert_eq!(squash(logit), p, "squash({logit})");
    }
    assert_eq!((stretch(0), stretch(1)), (-LOGIT_MAX, -LOGIT_MAX));
    // Halves are rounded down, so the top is one step short of the bottom's mirror.
    assert_eq!((stretch(65535), stretch(u32::MAX)), (LOGIT_MAX - 1, LOGIT_MAX - 1));
    assert_eq!(stretch(32768), 0);
}

#[test]
fn both_are_symmetric() {
    for x in 0..=LOGIT_MAX {
        let sum = squash(x) + squash(-x);
        assert!((65535..=65536).contains(&sum), "squash(+-{x}) sum to {sum}");
    }
    for p in 1..=65535 {
        let sum = stretch(p) + stretch(65536 - p);
        assert!((-1..=0).contains(&sum), "stretch({p}) and its mirror sum to {sum}");
    }
}

/// There and back again: the error of one step of `p` is `1 / (p (1 - p))` of a logit, and both ends round.
#[test]
fn they_are_inverse() {
    for x in -LOGIT_MAX..=LOGIT_MAX {
        let p = f64::from(squash(x)) / 65536.0;
        let step = ONE / (65536.0 * p * (1.0 - p));
        assert!(
            near(stretch(squash(x)).into(), x.into(), 3.0 + 4.7 * step),
            "{x} comes back as {}",
            stretch(squash(x))
        );
    }
}

/// Nothing that decides a decoded bit is a float: codec-core has no floating-point type outside its tests.
#[test]
fn the_decoder_is_free_of_floats() {
    let mut files = 0;
    search(&tests::data::folder().join("../codec-core/src"), &mut files);
    assert!(files > 20, "only {files} files of codec-core were found");
}

fn search(folder: &Path, files: &mut usize) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            search(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            *files += 1;
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            for line in code.lines() {
                let line = line.split("//").next().unwrap_or_default();
                let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
                assert!(words.all(|word| word != "f32" && word != "f64"), "{}: {line}", path.display());
            }
        }
    }
}
