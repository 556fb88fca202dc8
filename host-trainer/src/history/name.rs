//! Names of contents, and of their versions: one component of a path on every system.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Bytes of a name or of a version, at most.
pub const MAX_NAME: usize = 64;

/// A name that is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameError {
    /// `name` or `version`.
    pub field: &'static str,
    /// What was given, shortened.
    pub found: String,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} `{}`: 1 to {MAX_NAME} letters, digits and any of `._+-` of ASCII are allowed, the first a letter or digit",
            self.field,
            self.found.escape_debug()
        )
    }
}

impl std::error::Error for NameError {}

fn check(field: &'static str, text: &str) -> Result<(), NameError> {
    let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'+' | b'-');
    let good =
        (1..=MAX_NAME).contains(&text.len()) && text.bytes().all(plain) && text.as_bytes()[0].is_ascii_alphanumeric();
    if good { Ok(()) } else { Err(NameError { field, found: text.chars().take(80).collect() }) }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $field:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                check($field, text).map(|()| Self(text.into()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                check($field, &text).map(|()| Self(text))
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// The name of a content or of a folder: `gateway`, `sensor-fw`.
    Name,
    "name"
);
name!(
    /// The name of one version of it: `2.0.1`.
    Version,
    "version"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_lead_anywhere() {
        for good in ["a", "fw-1.0", "2.0.1+build_7", "A"] {
            assert_eq!(good.parse::<Name>().unwrap().as_str(), good);
        }
        let long = "x".repeat(65);
        for bad in ["", ".", "..", ".hidden", "-x", "a/b", "a\\b", "a b", "ä", "a\0", "a%2fb", &long] {
            assert!(bad.parse::<Name>().is_err(), "{bad}");
            assert!(bad.parse::<Version>().is_err(), "{bad}");
        }
        assert!(serde_json::from_str::<Name>("\"../x\"").is_err());
    }
}
