//! What an error comes from.

use std::error::Error;
use std::iter::successors;

/// An error, and what it comes from, outermost first.
pub fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    successors(Some(error), |&error| error.source())
}

/// The innermost reason of an error: the one that speaks of what was given.
#[must_use]
pub fn reason(error: &(dyn Error + 'static)) -> String {
    causes(error).last().unwrap_or(error).to_string()
}
