//! Numbers, bars and tables as people read them.

/// `1234567` as `1,234,567`.
#[must_use]
pub fn thousands(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A duration in seconds with the unit that suits it.
#[must_use]
pub fn seconds(value: f64) -> String {
    if value < 0.001 {
        format!("{:.0} us", value * 1e6)
    } else if value < 1.0 {
        format!("{:.1} ms", value * 1e3)
    } else if value < 120.0 {
        format!("{value:.1} s")
    } else {
        format!("{:.1} min", value / 60.0)
    }
}

/// Bytes of memory in KiB or MiB.
#[must_use]
pub fn memory(bytes: u64) -> String {
    if bytes >= 1 << 20 {
        format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
    } else {
        format!("{:.1} KiB", bytes as f64 / 1024.0)
    }
}

/// A bar of at most `width` signs for `value` out of `full`.
#[must_use]
pub fn bar(value: f64, full: f64, width: usize) -> String {
    if value <= 0.0 || full <= 0.0 {
        return String::new();
    }
    let signs = (value / full * width as f64).round().clamp(0.0, width as f64) as usize;
    if signs == 0 { ".".into() } else { "#".repeat(signs) }
}

/// `bytes` as lower-case hex.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The `N` bytes that `text` spells as lower-case hex; none for anything else.
#[must_use]
pub fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    unhex_within(text, N)?.try_into().ok()
}

/// The bytes, at most `limit`, that `text` spells as lower-case hex; none for anything else.
#[must_use]
pub fn unhex_within(text: &str, limit: usize) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() > limit || !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

/// Rows of cells in columns; the first column is left-aligned, the others right-aligned.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
    rules: Vec<usize>,
}

impl Table {
    /// A table with its head.
    #[must_use]
    pub fn new<I: IntoIterator<Item = S>, S: Into<String>>(head: I) -> Self {
        Self { rows: vec![head.into_iter().map(Into::into).collect()], rules: vec![1] }
    }

    /// Adds a row.
    pub fn row<I: IntoIterator<Item = S>, S: Into<String>>(&mut self, cells: I) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// Adds a line of dashes.
    pub fn rule(&mut self) {
        self.rules.push(self.rows.len());
    }

    /// The table as lines, each ended.
    #[must_use]
    pub fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for (number, row) in self.rows.iter().enumerate() {
            if self.rules.contains(&number) {
                text.push_str(&"-".repeat(widths.iter().sum::<usize>() + 2 * columns.saturating_sub(1)));
                text.push('\n');
            }
            let mut line = String::new();
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                line.push_str(&match column {
                    0 => format!("{cell:<width$}"),
                    _ => format!("  {cell:>width$}"),
                });
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(seconds(0.0123), "12.3 ms");
        assert_eq!(memory(16 * 1024), "16.0 KiB");
        assert_eq!(hex(&[0, 0xab]), "00ab");
        assert_eq!(unhex("00ab"), Some([0, 0xab]));
        assert_eq!([unhex::<2>("00"), unhex("00AB"), unhex("00ab0")], [None; 3]);
        assert_eq!(unhex_within("00ab", 2), Some(vec![0, 0xab]));
        assert_eq!([unhex_within("00ab", 1), unhex_within("+f", 1), unhex_within("é", 1)], [None, None, None]);
    }

    #[test]
    fn bars_stay_in_their_width() {
        assert_eq!(bar(1.0, 2.0, 10), "#####");
        assert_eq!(bar(9.0, 2.0, 10), "##########");
        assert_eq!(bar(0.001, 2.0, 10), ".");
        assert_eq!(bar(0.0, 2.0, 10), "");
    }

    #[test]
    fn tables_align() {
        let mut table = Table::new(["what", "bytes"]);
        table.row(["map", "7"]);
        assert_eq!(table.render(), "what  bytes\n-----------\nmap       7\n");
    }
}
