//! The places that a store can be in, and their objects as they are, past the store.

use std::collections::BTreeMap;
use std::path::Path as FilePath;
use std::sync::Arc;

use futures_util::TryStreamExt;
use host_trainer::store::Store;
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use super::s3::{BUCKET, S3};

/// A place for a store.
#[derive(Clone)]
pub struct Backend {
    /// As `--store` takes it.
    pub place: String,
    /// What has to be in the environment.
    pub variables: Vec<(String, String)>,
    /// Whether it is a folder.
    pub local: bool,
    /// The objects themselves.
    pub objects: Arc<dyn ObjectStore>,
    /// Where among them.
    pub root: Path,
}

impl Backend {
    /// A folder, which is made.
    pub fn folder(folder: &FilePath) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let objects = Arc::new(LocalFileSystem::new_with_prefix(folder).unwrap());
        let place = folder.to_str().unwrap().into();
        Self { place, variables: Vec::new(), local: true, objects, root: Path::default() }
    }

    /// A prefix in the bucket of `s3`; the whole bucket if it is empty.
    pub fn s3(s3: &S3, prefix: &str) -> Self {
        let variables = s3.variables();
        let read = |(name, value): &(String, String)| (name.to_ascii_lowercase().parse().unwrap(), value.clone());
        let builder =
            variables.iter().map(read).fold(AmazonS3Builder::new(), |all, (key, value)| all.with_config(key, value));
        let objects = Arc::new(builder.with_bucket_name(BUCKET).build().unwrap());
        let place = format!("s3://{BUCKET}/{prefix}");
        Self { place, variables, local: false, objects, root: Path::parse(prefix).unwrap() }
    }

    /// A place of its own in this one.
    pub fn below(&self, name: &str) -> Self {
        let place = format!("{}/{name}", self.place.trim_end_matches('/'));
        Self { place, root: self.root.clone().join(name), ..self.clone() }
    }

    /// The store, opened anew.
    pub fn store(&self) -> Store {
        Store::open_with(&self.place, self.variables.clone()).unwrap()
    }

    fn at(&self, object: &str) -> Path {
        object.split('/').fold(self.root.clone(), |path, part| path.join(part))
    }

    /// Writes an object past the store.
    pub async fn write(&self, object: &str, bytes: &[u8]) {
        self.objects.put(&self.at(object), bytes.to_vec().into()).await.unwrap();
    }

    /// Reads an object past the store.
    pub async fn read(&self, object: &str) -> Vec<u8> {
        self.objects.get(&self.at(object)).await.unwrap().bytes().await.unwrap().to_vec()
    }

    /// All objects with their bytes' count.
    pub async fn objects(&self) -> BTreeMap<String, u64> {
        let listed: Vec<_> = self.objects.list(Some(&self.root)).try_collect().await.unwrap();
        let below = |path: &Path| {
            path.prefix_match(&self.root).unwrap().map(|part| part.as_ref().into()).collect::<Vec<String>>()
        };
        listed.iter().map(|meta| (below(&meta.location).join("/"), meta.size)).collect()
    }

    /// Makes an object look as if it had been written an hour ago. Only in folders.
    pub fn age(&self, object: &str) {
        let file = std::fs::File::options().write(true).open(FilePath::new(&self.place).join(object)).unwrap();
        file.set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(3600)).unwrap();
    }
}
