//! Trains the weights that the base model's last stage starts from: Reptile (Nichol, Achiam and Schulman, 2018), on
//! files that the network has not learned from, or it would be trusted too far.

use crate::align::Alignment;
use crate::base::Resident;
use crate::fit::encode::{Job, encode_with};
use codec_core::Error;
use codec_core::limits::Profile;
use codec_core::neural::adapter::Adapter;
use codec_core::neural::base::Base;
use codec_core::predict::prior::PRIOR;

/// How far the weights of a base model move towards those that a file ends with, by epoch.
pub const RATES: [f64; 4] = [0.1, 0.06, 0.03, 0.015];

/// Moves the weights `mix` towards those with which the files would have been coded best; `model` makes a base model
/// file of weights, and what an adapter changes beside them holds. To be called with a big stack.
///
/// # Errors
/// What the codec refuses.
pub fn train(
    files: &[Vec<u8>],
    profile: Profile,
    mix: &mut Vec<i16>,
    model: impl Fn(&[i16]) -> Result<Vec<u8>, Error>,
    adapter: Option<Adapter<'_>>,
    rates: &[f64],
    mut watch: impl FnMut(usize, usize),
) -> Result<(), Error> {
    let mut mean: Vec<f64> = mix.iter().map(|w| f64::from(*w)).collect();
    let all = rates.len() * files.len();
    for (epoch, rate) in rates.iter().enumerate() {
        for (i, file) in files.iter().enumerate() {
            let now: Vec<i16> = mean.iter().map(|w| w.round() as i16).collect();
            let base = model(&now)?;
            let (model, id) = Base::open(&base)?;
            let job = Job { new: file, old: None, profile, prior: PRIOR, base: Some(Resident { model, id, adapter }) };
            encode_with(&job, &Alignment::default(), false, |rebuilder| {
                for (mean, end) in mean.iter_mut().zip(rebuilder.mix()) {
                    *mean += rate * (f64::from(end.cast_signed()) - *mean);
                }
            })?;
            watch(epoch * files.len() + i + 1, all);
        }
    }
    mix.clear();
    mix.extend(mean.iter().map(|w| w.round() as i16));
    Ok(())
}
