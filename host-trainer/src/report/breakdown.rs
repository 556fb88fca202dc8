//! What the bytes of a container are spent on, for people and as JSON.

use std::fmt::Write as _;

use serde::Serialize;

use super::format::{bar, memory, thousands};
use crate::codec::{Breakdown, Profile};

/// The JSON form of a [`Breakdown`]. Field names are part of the interface.
#[derive(Clone, Debug, Serialize)]
pub struct BreakdownRecord {
    /// Version of the encoding, 1 or 2.
    pub version: u32,
    /// Whether an old image is needed.
    pub is_delta: bool,
    /// `stored` or `coded`.
    pub mode: String,
    /// Profile that the container declares.
    pub profile: Option<&'static str>,
    /// Bytes of the rebuilt file.
    pub new_size: u64,
    /// Bytes of the old image.
    pub old_size: Option<u64>,
    /// Bytes of the container.
    pub container_size: u64,
    /// Where they went; sums to `container_size`.
    pub parts: Vec<PartRecord>,
    /// Segments of the alignment map.
    pub segments: u32,
    /// Instruction set of the relocation expert.
    pub isa: Option<String>,
    /// Addresses at which the parts of the image are linked, old and new.
    pub bases: Vec<BaseRecord>,
    /// Bytes of RAM that the decoder needs, all in.
    pub decoder_ram: u64,
    /// Digest of the rebuilt file, hex.
    pub digest: String,
    /// Identity of the old image, hex.
    pub old_id: Option<String>,
    /// Identity of the base model, hex, where one is needed.
    pub base_id: Option<String>,
    /// Its name, if it ships.
    pub base_name: Option<&'static str>,
}

/// One line of [`BreakdownRecord::parts`].
#[derive(Clone, Debug, Serialize)]
pub struct PartRecord {
    /// What the bytes were spent on.
    pub name: String,
    /// How many; a coded bit can cost less than a bit, so this is no whole number.
    pub bytes: f64,
}

/// One line of [`BreakdownRecord::bases`].
#[derive(Clone, Debug, Serialize)]
pub struct BaseRecord {
    /// Address in the old image.
    pub old: u32,
    /// Address in the new image.
    pub new: u32,
}

impl From<&Breakdown> for BreakdownRecord {
    fn from(from: &Breakdown) -> Self {
        Self {
            version: from.version,
            is_delta: from.is_delta,
            mode: from.mode.to_string(),
            profile: from.profile.map(profile_name),
            new_size: from.new_len,
            old_size: from.old_len,
            container_size: from.total,
            parts: from
                .parts
                .iter()
                .map(|part| PartRecord { name: part.name.to_string(), bytes: part.bits / 8.0 })
                .collect(),
            segments: from.segments,
            isa: from.isa.clone(),
            bases: from.bases.iter().map(|base| BaseRecord { old: base.old, new: base.new }).collect(),
            decoder_ram: from.decoder_ram,
            digest: from.digest.clone(),
            old_id: from.old_id.clone(),
            base_id: from.base_id.clone(),
            base_name: from.base_name,
        }
    }
}

/// The name by which the command line knows `profile`.
#[must_use]
pub fn profile_name(profile: Profile) -> &'static str {
    match profile {
        Profile::Tiny => "tiny",
        Profile::Small => "small",
        Profile::Medium => "medium",
        Profile::Host => "host",
    }
}

/// One bar per part, each line indented by two.
#[must_use]
pub fn bars(breakdown: &Breakdown) -> String {
    let names = breakdown.parts.iter().map(|part| part.name.chars().count()).max().unwrap_or(0);
    let total = breakdown.total as f64 * 8.0;
    let full = breakdown.parts.iter().map(|part| part.bits).fold(0.0, f64::max);
    let mut text = String::new();
    for part in &breakdown.parts {
        let percent = if total > 0.0 { 100.0 * part.bits / total } else { 0.0 };
        let line = format!(
            "  {:<names$}  {:>10.1} B  {percent:>5.1} %  {}",
            part.name,
            part.bits / 8.0,
            bar(part.bits, full, 36)
        );
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// The report of `gmcf inspect`.
#[must_use]
pub fn table(breakdown: &Breakdown) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "{name:<14}{value}");
    };
    let kind = if breakdown.is_delta { "delta" } else { "whole file" };
    line(
        "container",
        format!("{} bytes, GMCF version {}, {kind}, {}", thousands(breakdown.total), breakdown.version, breakdown.mode),
    );
    let share = 100.0 * breakdown.total as f64 / breakdown.new_len.max(1) as f64;
    line("rebuilds", format!("{} bytes (the container is {share:.2} % of them)", thousands(breakdown.new_len)));
    line("digest", breakdown.digest.clone());
    if breakdown.is_delta {
        let size = breakdown.old_len.map(|len| format!(" of {} bytes", thousands(len))).unwrap_or_default();
        let id = breakdown.old_id.as_deref().map(|id| format!(", identity {id}")).unwrap_or_default();
        line("needs", format!("an old image{size}{id}"));
    }
    if let Some(id) = &breakdown.base_id {
        let named = breakdown.base_name.map(|name| format!("{name}, ")).unwrap_or_default();
        line("base model", format!("{named}identity {id}"));
    }
    let profile = breakdown.profile.map(|profile| format!("profile {}, ", profile_name(profile))).unwrap_or_default();
    line("decoder", format!("{profile}{} of RAM in all", memory(breakdown.decoder_ram)));
    if breakdown.segments > 0 {
        line("segments", breakdown.segments.to_string());
    }
    if let Some(isa) = &breakdown.isa {
        line("relocation", isa.clone());
    }
    for base in &breakdown.bases {
        line("base", format!("{:#010x} in the old image, {:#010x} in the new one", base.old, base.new));
    }
    text.push_str("\nwhat the bytes are spent on\n");
    text.push_str(&bars(breakdown));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{Base, Part};

    fn sample() -> Breakdown {
        Breakdown {
            version: 2,
            is_delta: true,
            mode: "coded".into(),
            profile: Some(Profile::Small),
            new_len: 1000,
            old_len: Some(990),
            total: 20,
            parts: vec![Part { name: "header".into(), bits: 80.0 }, Part { name: "misses".into(), bits: 80.0 }],
            segments: 3,
            isa: Some("thumb".into()),
            bases: vec![Base { old: 0x0800_5000, new: 0x0800_5000 }],
            decoder_ram: 40_000,
            digest: "ab".into(),
            old_id: Some("cd".into()),
            base_id: Some("ef".into()),
            base_name: Some("nano"),
        }
    }

    #[test]
    fn the_table_names_everything() {
        let text = table(&sample());
        for word in ["20 bytes", "2.00 %", "thumb", "0x08005000", "39.1 KiB", "header", "50.0 %", "nano, identity ef"] {
            assert!(text.contains(word), "{word} is missing in\n{text}");
        }
    }

    #[test]
    fn the_record_counts_bytes() {
        let record = BreakdownRecord::from(&sample());
        let sum: f64 = record.parts.iter().map(|part| part.bytes).sum();
        assert!((sum - record.container_size as f64).abs() < 1e-9);
    }
}
