//! How a delta is made.

use std::io;

use bytes::Bytes;
use tokio::runtime::Handle;

use super::DeltaError;
use crate::base::Shipped;
use crate::codec::{self, CodecError, Format, Options, Profile};
use crate::store::{DeltaKey, Form, Store};
use crate::tree::pack;
use crate::tree::patch::{self, Contents};
use crate::tree::{Digest, Tree};

/// What making a delta may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Means {
    /// Longest content that is compressed, bytes.
    pub max_content: u64,
    /// Deltas in the store that lead there over another content are taken where they are shorter in all.
    pub chains: bool,
    /// Packs: an adapter is fitted to small files that are alike, which takes minutes, and taken where it pays.
    pub adapters: bool,
}

/// Makes the delta `key` from what is in `store`.
///
/// # Errors
/// [`DeltaError`].
pub async fn make(store: &Store, key: DeltaKey, means: Means) -> Result<Bytes, DeltaError> {
    let Means { max_content, chains, adapters } = means;
    match key.form {
        Form::Container { profile, base } => {
            let new = content(store, key.to, max_content).await?;
            let old = match key.from {
                Some(from) => Some(content(store, from, max_content).await?),
                None => None,
            };
            let direct: Bytes =
                blocking(move || Ok(compress(&new, old.as_deref(), profile, base)?.bytes.into())).await?;
            let chain = if chains { chain(store, &key, direct.len() as u64).await? } else { None };
            Ok(shorter(direct, chain))
        }
        Form::Patch => {
            let new = tree(store, key.to).await?;
            let old = match key.from {
                Some(from) => Some(tree(store, from).await?),
                None => None,
            };
            let contents = Stored::new(store, max_content);
            blocking(move || {
                let old = old.as_ref().map(|old| (old, &contents as &dyn Contents));
                Ok(patch::make(old, &new, &contents, &patch::Options::default())?.into())
            })
            .await
        }
        Form::Pack => {
            let tree = tree(store, key.to).await?;
            let contents = Stored::new(store, max_content);
            let options = pack::Options { adapter: adapters, ..pack::Options::default() };
            blocking(move || Ok(pack::make(&tree, &contents, &options)?.into())).await
        }
    }
}

/// A chain where it is shorter.
fn shorter(direct: Bytes, chain: Option<Bytes>) -> Bytes {
    chain.filter(|chain| chain.len() < direct.len()).unwrap_or(direct)
}

/// The shortest chain of two deltas in the store, each of which may be a chain, if there is one of less than `limit` bytes.
async fn chain(store: &Store, key: &DeltaKey, limit: u64) -> Result<Option<Bytes>, DeltaError> {
    if key.from.is_none() {
        return Ok(None);
    }
    let (mut least, mut best) = (limit, None);
    for last in store.deltas_to(&key.to).await? {
        let Some(over) = last.key.from.filter(|_| last.key.form == key.form && last.key.from != key.from) else {
            continue;
        };
        // What is too long without its first link is not worth a look for that.
        if last.len >= least {
            continue;
        }
        let first = DeltaKey { to: over, ..*key };
        let Some(len) = store.delta_len(&first).await? else { continue };
        if len + last.len < least {
            (least, best) = (len + last.len, Some((first, last.key)));
        }
    }
    let Some((first, last)) = best else { return Ok(None) };
    let (Some(first), Some(last)) = (store.delta(&first).await?, store.delta(&last).await?) else { return Ok(None) };
    // A link that does without its old content starts the chain anew: what is before it is for nothing.
    for link in codec::links(&last)? {
        if !codec::is_delta(link)? {
            return Ok(None);
        }
    }
    Ok(Some([first, last].concat().into()))
}

/// Compresses for a device of this profile, which holds the base model that ships for it or none, and sees that it comes
/// back.
///
/// # Errors
/// Those of [`codec::compress`]; [`CodecError::Internal`] for what does not come back.
pub fn compress(new: &[u8], old: Option<&[u8]>, profile: Profile, base: bool) -> Result<codec::Compressed, CodecError> {
    let base = Shipped::of(profile).filter(|_| base).map(Shipped::open).transpose()?;
    let made = codec::compress(new, old, &Options { profile, format: Format::V2, base, progress: None })?;
    let len = u32::try_from(new.len()).unwrap_or(u32::MAX);
    if codec::apply_within(&[&made.bytes], old, len, base)? != new {
        return Err(CodecError::Internal("the container rebuilds another content".into()));
    }
    Ok(made)
}

async fn content(store: &Store, digest: Digest, limit: u64) -> Result<Bytes, DeltaError> {
    store.content(&digest, limit).await?.ok_or(DeltaError::Missing { digest })
}

async fn tree(store: &Store, root: Digest) -> Result<Tree, DeltaError> {
    store.tree(&root).await?.ok_or(DeltaError::Missing { digest: root })
}

/// Does `work` where it does not stand in the way of requests.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DeltaError> + Send + 'static,
) -> Result<T, DeltaError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(DeltaError::Internal(format!("making a delta panicked: {error}"))),
    }
}

/// Contents in a store, for work that does not wait for promises.
struct Stored {
    store: Store,
    runtime: Handle,
    max_content: u64,
}

impl Stored {
    fn new(store: &Store, max_content: u64) -> Self {
        Self { store: store.clone(), runtime: Handle::current(), max_content }
    }
}

impl Contents for Stored {
    fn read(&self, digest: &Digest) -> io::Result<Vec<u8>> {
        match self.runtime.block_on(self.store.content(digest, self.max_content)) {
            Ok(Some(content)) => Ok(content.into()),
            Ok(None) => Err(io::ErrorKind::NotFound.into()),
            Err(error) => Err(io::Error::other(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_is_taken_apart_and_only_served_where_it_is_shorter() {
        let make = |new: &[u8], old: &[u8]| compress(new, Some(old), Profile::Small, false).unwrap().bytes;
        let (a, b, c) = (b"first content".repeat(20), b"second content".repeat(20), b"third content".repeat(20));
        let (first, second) = (make(&b, &a), make(&c, &b));
        let chain = [first.clone(), second.clone()].concat();
        let links = codec::links(&chain).unwrap();
        assert_eq!(links, [&first[..], &second]);
        assert_eq!(codec::apply(&links, Some(&a)).unwrap(), c);
        for cut in (0..chain.len()).filter(|&cut| cut != first.len()) {
            let applied = codec::links(&chain[..cut]).and_then(|links| codec::apply(&links, Some(&a)));
            assert!(applied.is_err(), "{cut}");
        }
        let taken = |direct: usize, chain: usize| shorter(vec![0; direct].into(), Some(vec![1; chain].into()))[0] == 1;
        assert_eq!([taken(5, 4), taken(5, 5), taken(5, 6)], [true, false, false]);
    }
}
