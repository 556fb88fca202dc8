//! Contents and trees: written once under their digests.

use std::ops::Range;
use std::path::Path as FilePath;

use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt};
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt, WriteMultipart};
use tokio::io::AsyncReadExt;

use super::{Store, StoreError, missing};
use crate::tree::{Digest, MAX_MANIFEST, Tree};

/// Largest content that is written in one request, bytes; also the size of the parts of larger ones.
const PART: usize = 8 << 20;
/// Parts on their way at the same time.
const PARTS: usize = 4;

/// A content, or a part of one, that is read as it comes.
pub struct Blob {
    /// Bytes of the whole content.
    pub len: u64,
    /// Which of them come.
    pub range: Range<u64>,
    /// They.
    pub bytes: BoxStream<'static, Result<Bytes, StoreError>>,
}

impl Store {
    fn content_at(&self, digest: &Digest) -> Path {
        self.at(["contents", &digest.to_string()])
    }

    fn tree_at(&self, root: &Digest) -> Path {
        self.at(["trees", &root.to_string()])
    }

    /// Bytes of a content; none if it is not there.
    ///
    /// # Errors
    /// [`StoreError::Object`].
    pub async fn content_len(&self, digest: &Digest) -> Result<Option<u64>, StoreError> {
        self.head(&self.content_at(digest)).await
    }

    /// Keeps a content.
    ///
    /// # Errors
    /// [`StoreError::Object`].
    pub async fn put_content(&self, content: Bytes) -> Result<Digest, StoreError> {
        let digest = Digest::of(&content);
        if self.content_len(&digest).await?.is_none() {
            self.put(&self.content_at(&digest), content).await?;
        }
        Ok(digest)
    }

    /// Keeps the content of a file, a part at a time. `digest` and `len` are what the file was found to have; it must not
    /// change.
    ///
    /// # Errors
    /// [`StoreError::Object`], [`StoreError::Spool`].
    pub async fn put_content_file(&self, file: &FilePath, digest: &Digest, len: u64) -> Result<(), StoreError> {
        let path = self.content_at(digest);
        if self.content_len(digest).await? == Some(len) {
            return Ok(());
        }
        if len <= PART as u64 {
            let content = tokio::fs::read(file).await.map_err(StoreError::Spool)?;
            return self.put(&path, content).await;
        }
        let upload = self.objects.put_multipart(&path).await.map_err(StoreError::object("write", &path))?;
        let mut writer = WriteMultipart::new_with_chunk_size(upload, PART);
        let mut source = tokio::fs::File::open(file).await.map_err(StoreError::Spool)?;
        let mut chunk = vec![0; 1 << 18];
        loop {
            match source.read(&mut chunk).await.map_err(StoreError::Spool)? {
                0 => break,
                n => {
                    writer.wait_for_capacity(PARTS).await.map_err(StoreError::object("write", &path))?;
                    writer.write(&chunk[..n]);
                }
            }
        }
        writer.finish().await.map(|_| ()).map_err(StoreError::object("write", &path))
    }

    /// A whole content of at most `limit` bytes, checked; none if it is not there.
    ///
    /// # Errors
    /// [`StoreError::Object`], [`StoreError::TooLarge`], [`StoreError::Damaged`].
    pub async fn content(&self, digest: &Digest, limit: u64) -> Result<Option<Bytes>, StoreError> {
        let path = self.content_at(digest);
        let Some(content) = self.read_within(&path, limit).await? else { return Ok(None) };
        let found = Digest::of(&content);
        if found == *digest {
            return Ok(Some(content));
        }
        Err(StoreError::damaged(&path, format_args!("its digest is {found}")))
    }

    /// A content, or `range` of it, as it comes; none if it is not there.
    ///
    /// # Errors
    /// [`StoreError::Object`].
    pub async fn open_content(&self, digest: &Digest, range: Option<Range<u64>>) -> Result<Option<Blob>, StoreError> {
        let path = self.content_at(digest);
        let options = GetOptions { range: range.map(GetRange::Bounded), ..GetOptions::default() };
        let found = missing(self.objects.get_opts(&path, options).await).map_err(StoreError::object("read", &path))?;
        Ok(found.map(|found| {
            let (len, range) = (found.meta.size, found.range.clone());
            let bytes = found.into_stream().map(move |part| part.map_err(StoreError::object("read", &path))).boxed();
            Blob { len, range, bytes }
        }))
    }

    /// Keeps the manifest of a tree, whose contents must be there, and tells its root.
    ///
    /// # Errors
    /// [`StoreError::Object`].
    pub async fn put_tree(&self, tree: &Tree) -> Result<Digest, StoreError> {
        let root = tree.root();
        self.put(&self.tree_at(&root), tree.emit()).await.map(|()| root)
    }

    /// The tree of this root; none if it is not there.
    ///
    /// # Errors
    /// [`StoreError::Object`], [`StoreError::TooLarge`], [`StoreError::Damaged`].
    pub async fn tree(&self, root: &Digest) -> Result<Option<Tree>, StoreError> {
        let path = self.tree_at(root);
        let Some(bytes) = self.read_within(&path, MAX_MANIFEST).await? else { return Ok(None) };
        let tree = Tree::parse(&bytes).map_err(|error| StoreError::damaged(&path, error))?;
        if tree.root() == *root {
            return Ok(Some(tree));
        }
        Err(StoreError::damaged(&path, format_args!("its root is {}", tree.root())))
    }
}
