//! Deltas that were made once and are kept for the next who asks.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use futures_util::TryStreamExt;
use object_store::ObjectStore;
use object_store::path::Path;
use serde::{Deserialize, Serialize};

use super::{Store, StoreError};
use crate::codec::Profile;
use crate::report::breakdown::profile_name;
use crate::tree::Digest;

/// How something leads from one content or tree to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Form {
    /// A GMCF file, or a chain of them, for a device of this profile, which holds the base model of its profile or none.
    Container {
        /// The profile.
        profile: Profile,
        /// Whether the device holds the base model that ships for the profile.
        base: bool,
    },
    /// A patch of a tree.
    Patch,
    /// A pack of a tree, from nothing.
    Pack,
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Container { profile, base } => {
                write!(f, "{}{}", profile_name(*profile), if *base { "-base" } else { "" })
            }
            Self::Patch => f.write_str("patch"),
            Self::Pack => f.write_str("pack"),
        }
    }
}

impl FromStr for Form {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "patch" => return Ok(Self::Patch),
            "pack" => return Ok(Self::Pack),
            _ => {}
        }
        let (name, base) = text.strip_suffix("-base").map_or((text, false), |name| (name, true));
        let profiles = [Profile::Tiny, Profile::Small, Profile::Medium, Profile::Host];
        let profile = profiles.into_iter().find(|profile| profile_name(*profile) == name).ok_or(())?;
        Ok(Self::Container { profile, base })
    }
}

/// What a delta leads from, to, and how. As text: `TO/FROM/FORM`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeltaKey {
    /// What the receiver has; none if nothing.
    pub from: Option<Digest>,
    /// What it gets.
    pub to: Digest,
    /// How.
    pub form: Form,
}

impl fmt::Display for DeltaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/", self.to)?;
        match &self.from {
            Some(from) => write!(f, "{from}")?,
            None => f.write_str("-")?,
        }
        write!(f, "/{}", self.form)
    }
}

impl FromStr for DeltaKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{}` is no delta", text.chars().take(80).collect::<String>().escape_debug());
        let mut parts = text.split('/');
        let (Some(to), Some(from), Some(form), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Err(wrong());
        };
        let from = if from == "-" { None } else { Some(from.parse().map_err(|_| wrong())?) };
        Ok(Self { from, to: to.parse().map_err(|_| wrong())?, form: form.parse().map_err(|()| wrong())? })
    }
}

impl Serialize for DeltaKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DeltaKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A delta that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredDelta {
    /// Which.
    pub key: DeltaKey,
    /// Its bytes.
    pub len: u64,
    /// When it was made, in milliseconds since 1970-01-01 in UTC.
    pub made_at: u64,
}

impl Store {
    fn delta_at(&self, key: &DeltaKey) -> Path {
        key.to_string().split('/').fold(self.at(["deltas"]), |path, part| path.join(part))
    }

    /// A delta that was kept.
    ///
    /// # Errors
    /// [`StoreError::Object`].
    pub async fn delta(&self, key: &DeltaKey) -> Result<Option<Bytes>, StoreError> {
        self.read(&self.delta_at(key)).await
    }

    /// Bytes of a delta that was kept.
    ///
    /// # Errors
    /// [`StoreError::Object`].
    pub async fn delta_len(&self, key: &DeltaKey) -> Result<Option<u64>, StoreError> {
        self.head(&self.delta_at(key)).await
    }

    /// Keeps a delta.
    ///
    /// # Errors
    /// [`StoreError::Object`].
    pub async fn put_delta(&self, key: &DeltaKey, delta: Bytes) -> Result<(), StoreError> {
        self.put(&self.delta_at(key), delta).await
    }

    /// Removes a delta; none is lost that cannot be made again.
    ///
    /// # Errors
    /// [`StoreError::Object`].
    pub async fn delete_delta(&self, key: &DeltaKey) -> Result<(), StoreError> {
        self.delete(&self.delta_at(key)).await
    }

    /// All deltas that are kept.
    ///
    /// # Errors
    /// [`StoreError::Object`].
    pub async fn deltas(&self) -> Result<Vec<StoredDelta>, StoreError> {
        self.list_deltas(self.at(["deltas"])).await
    }

    /// All deltas that are kept and lead to `to`.
    ///
    /// # Errors
    /// [`StoreError::Object`].
    pub async fn deltas_to(&self, to: &Digest) -> Result<Vec<StoredDelta>, StoreError> {
        self.list_deltas(self.at(["deltas", &to.to_string()])).await
    }

    async fn list_deltas(&self, at: Path) -> Result<Vec<StoredDelta>, StoreError> {
        let depth = self.at(["deltas"]).parts().count();
        let listed: Vec<_> =
            self.objects.list(Some(&at)).try_collect().await.map_err(StoreError::object("list", &at))?;
        let read = |meta: object_store::ObjectMeta| {
            let parts: Vec<String> = meta.location.parts().skip(depth).map(|part| part.as_ref().to_string()).collect();
            let key = parts.join("/").parse().ok()?;
            let made_at = u64::try_from(meta.last_modified.timestamp_millis()).unwrap_or(0);
            Some(StoredDelta { key, len: meta.size, made_at })
        };
        Ok(listed.into_iter().filter_map(read).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_back_from_their_text() {
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        for profile in [Profile::Tiny, Profile::Small, Profile::Medium, Profile::Host] {
            for base in [false, true] {
                for form in [Form::Container { profile, base }, Form::Patch, Form::Pack] {
                    for from in [None, Some(a)] {
                        let key = DeltaKey { from, to: b, form };
                        assert_eq!(key.to_string().parse(), Ok(key));
                    }
                }
            }
        }
        for wrong in ["", "a/b/c", &format!("{a}/{b}"), &format!("{a}/-/small/x"), &format!("{a}/-/smallbase")] {
            assert!(wrong.parse::<DeltaKey>().is_err(), "{wrong}");
        }
    }
}
