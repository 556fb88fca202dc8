//! The transfer record: what an update server keeps about one delta.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha512};

use super::format::hex;

/// One transfer, as `--json` prints it. Field names are part of the interface.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TransferRecord {
    /// Version on the device before; null when the device held nothing.
    pub from_version: Option<String>,
    /// Version on the device after.
    pub to_version: String,
    /// Name of the content.
    pub content_name: String,
    /// Bytes of the old file; 0 when there was none.
    pub original_model_size: u64,
    /// Bytes of the new file.
    pub new_model_size: u64,
    /// Bytes sent: the container, or all containers of a chain.
    pub delta_size: u64,
    /// Whether the old file is needed: false for a container, or a chain that starts with one, which does without. Such
    /// a container can only come first in a chain.
    pub is_delta: bool,
    /// `new_model_size / delta_size`: 20 means that a twentieth was sent.
    pub compression_ratio: f64,
    /// Milliseconds that this side worked: encoding for `compress`, decoding for `apply`.
    pub transfer_time_ms: f64,
    /// Whether the rebuilt file was compared with the new one (`compress`) or its digest was right (`apply`).
    pub is_lossless: bool,
    /// When, RFC 3339 in UTC.
    pub created_at: String,
    /// SHA-512 of the old file, hex; null when there was none.
    pub original_hash: Option<String>,
    /// SHA-512 of the new file, hex.
    pub new_hash: String,
}

/// How the two sides of a transfer are called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// See [`TransferRecord::content_name`].
    pub content: Option<String>,
    /// See [`TransferRecord::from_version`].
    pub from: Option<String>,
    /// See [`TransferRecord::to_version`].
    pub to: Option<String>,
}

impl TransferRecord {
    /// The record of a transfer that took `took` and came out right. `sent` is [`TransferRecord::delta_size`] and
    /// [`TransferRecord::is_delta`].
    ///
    /// Names that are not given are taken from the files: `firmware/2.0.1.bin` is version `2.0.1`
    /// of `firmware`.
    #[must_use]
    pub fn new(
        names: &Names,
        old: Option<(&Path, &[u8])>,
        new: (&Path, &[u8]),
        sent: (u64, bool),
        took: Duration,
    ) -> Self {
        let (delta_size, is_delta) = sent;
        let new_size = new.1.len() as u64;
        Self {
            from_version: names.from.clone().or_else(|| old.map(|(path, _)| stem(path))),
            to_version: names.to.clone().unwrap_or_else(|| stem(new.0)),
            content_name: names.content.clone().unwrap_or_else(|| folder_or_name(new.0)),
            original_model_size: old.map_or(0, |(_, bytes)| bytes.len() as u64),
            new_model_size: new_size,
            delta_size,
            is_delta,
            compression_ratio: new_size as f64 / delta_size.max(1) as f64,
            transfer_time_ms: took.as_secs_f64() * 1e3,
            is_lossless: true,
            created_at: rfc3339(SystemTime::now()),
            original_hash: old.map(|(_, bytes)| sha512(bytes)),
            new_hash: sha512(new.1),
        }
    }
}

/// SHA-512 of `bytes`, hex.
#[must_use]
pub fn sha512(bytes: &[u8]) -> String {
    hex(&Sha512::digest(bytes))
}

/// `time` as RFC 3339 in UTC with milliseconds. Times before 1970 are shown as 1970.
#[must_use]
pub fn rfc3339(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = civil(days);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        second / 3600,
        second / 60 % 60,
        second % 60,
        since.subsec_millis()
    )
}

/// The time in milliseconds since 1970-01-01 in UTC.
#[must_use]
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// Days since 1970-01-01 to (year, month, day) of the Gregorian calendar.
///
/// Hinnant, "chrono-compatible low-level date algorithms", `civil_from_days`, for days >= 0: years start in
/// March, so that the leap day is the last of its year.
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (400 * era + year_of_era + u64::from(month <= 2), month, day)
}

fn stem(path: &Path) -> String {
    path.file_stem().map_or_else(|| "-".into(), |name| name.to_string_lossy().into_owned())
}

/// The folder's name where there is one (`firmware/2.0.1.bin`: `firmware`), else the file's.
fn folder_or_name(path: &Path) -> String {
    let folder = path.parent().and_then(Path::file_name);
    folder.or_else(|| path.file_name()).map_or_else(|| "-".into(), |name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_match_the_calendar() {
        let at = |seconds| rfc3339(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00.000Z");
        assert_eq!(at(1_709_164_800), "2024-02-29T00:00:00.000Z");
        assert_eq!(at(1_735_689_599), "2024-12-31T23:59:59.000Z");
        assert_eq!(at(4_107_542_400), "2100-03-01T00:00:00.000Z");
    }

    #[test]
    fn records_have_exactly_the_documented_fields() {
        let record = TransferRecord::new(
            &Names::default(),
            Some((Path::new("fw/1.0.bin"), b"old!")),
            (Path::new("fw/1.1.bin"), b"new file"),
            (2, true),
            Duration::from_millis(5),
        );
        assert_eq!(record.from_version.as_deref(), Some("1.0"));
        assert_eq!(record.to_version, "1.1");
        assert_eq!(record.content_name, "fw");
        assert!((record.compression_ratio - 4.0).abs() < 1e-12);
        let json = serde_json::to_value(&record).unwrap();
        let mut names: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "compression_ratio",
                "content_name",
                "created_at",
                "delta_size",
                "from_version",
                "is_delta",
                "is_lossless",
                "new_hash",
                "new_model_size",
                "original_hash",
                "original_model_size",
                "to_version",
                "transfer_time_ms"
            ]
        );
        assert_eq!(serde_json::from_value::<TransferRecord>(json).unwrap(), record);
    }

    #[test]
    fn without_an_old_file_the_old_side_is_null() {
        let record =
            TransferRecord::new(&Names::default(), None, (Path::new("x.bin"), b"abc"), (30, false), Duration::ZERO);
        assert_eq!((record.from_version, record.original_hash, record.original_model_size), (None, None, 0));
        assert_eq!(record.content_name, "x.bin");
        assert_eq!(&record.new_hash[..16], "ddaf35a193617aba");
    }
}
