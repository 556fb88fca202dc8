//! The updater's errors as C sees them.

use update_core::Error;

use crate::error::gmcf_status::{self, *};
use crate::error::{self, gmcf_error};

/// Number of an error of the updater. What is wrong with the update itself has the decoder's number.
pub(crate) fn code(error: &Error) -> gmcf_status {
    match error {
        Error::Malformed(inner) => error::code(inner),
        other => status(other.code()),
    }
}

/// The status for a number that the link and the progress record have.
pub(crate) fn status(code: u8) -> gmcf_status {
    match code {
        0 => GMCF_DONE,
        1 => GMCF_ERROR_FLASH,
        2 => GMCF_ERROR_LAYOUT,
        3 => GMCF_ERROR_MALFORMED,
        4 => GMCF_ERROR_BAD_SIGNATURE,
        5 => GMCF_ERROR_NO_KEY,
        6 => GMCF_ERROR_WRONG_PRODUCT,
        7 => GMCF_ERROR_DOWNGRADE,
        8 => GMCF_ERROR_NO_ROOM,
        9 => GMCF_ERROR_WRONG_STATE,
        10 => GMCF_ERROR_GAP,
        11 => GMCF_ERROR_WRONG_DIGEST,
        12 => GMCF_ERROR_NOTHING_TO_BOOT,
        // It may grow; a test holds this table to what there is now.
        _ => GMCF_ERROR_OTHER,
    }
}

impl gmcf_error {
    /// An error of the updater.
    pub(crate) fn of_update(error: &Error) -> Self {
        let (found, limit) = error.values();
        let (name, index, found, limit) = match *error {
            Error::Malformed(ref inner) => return Self::new(inner),
            Error::Flash { operation, .. } => {
                use update_core::flash::Operation;
                let name = match operation {
                    Operation::Read => "read",
                    Operation::Write => "write",
                    Operation::Erase => "erase",
                };
                (name, 0, found, limit)
            }
            Error::Layout { region, .. } | Error::NoRoom { region, .. } => (region, 0, found, limit),
            Error::BadSignature { key } | Error::NoKey { key } => ("", key.into(), 0, 0),
            Error::DigestMismatch { field } => (field, 0, 0, 0),
            _ => ("", 0, found, limit),
        };
        let (found, limit) = (found.into(), limit.into());
        Self { code: code(error) as i32, index, found, limit, field: error::field(name) }
    }

    /// Writes `why` to `*error`, unless that is NULL.
    ///
    /// # Safety
    /// `error` is NULL, or points to a gmcf_error.
    pub(super) unsafe fn tell(why: &Error, error: *mut Self) -> gmcf_status {
        if !error.is_null() {
            // SAFETY: as the caller promised.
            unsafe { error.write_unaligned(Self::of_update(why)) };
        }
        code(why)
    }
}

#[cfg(test)]
mod tests;
