//! The statements about each name.

use futures_util::TryStreamExt;
use object_store::ObjectStore;
use object_store::path::Path;

use super::{Store, StoreError};
use crate::history::{History, Name, NotNext, Signed};

/// Times that a number is tried for against others.
const TRIES: usize = 64;

impl Store {
    fn log_at(&self, name: &Name) -> Path {
        self.at(["names", name.as_str(), "log"])
    }

    fn statement_at(&self, name: &Name, sequence: u64) -> Path {
        self.log_at(name).join(format!("{sequence:016}.json"))
    }

    /// All names that have a version, in order.
    ///
    /// # Errors
    /// [`StoreError::Object`].
    pub async fn names(&self) -> Result<Vec<Name>, StoreError> {
        let path = self.at(["names"]);
        let found = self.objects.list_with_delimiter(Some(&path)).await.map_err(StoreError::object("list", &path))?;
        let names = found.common_prefixes.iter().filter_map(|prefix| prefix.filename()?.parse().ok());
        let mut names: Vec<Name> = names.collect();
        names.sort();
        Ok(names)
    }

    /// Reads what `history` of `name` lacks.
    ///
    /// # Errors
    /// [`StoreError::Object`], [`StoreError::Damaged`].
    pub async fn catch_up(&self, name: &Name, history: &mut History) -> Result<(), StoreError> {
        if history.latest().is_none() {
            // A long history is found by listing it; later, asking for the next one is enough.
            let path = self.log_at(name);
            let listed = self.objects.list(Some(&path)).try_collect::<Vec<_>>().await;
            if listed.map_err(StoreError::object("list", &path))?.is_empty() {
                return Ok(());
            }
        }
        loop {
            let path = self.statement_at(name, history.next());
            let Some(bytes) = self.read(&path).await? else { return Ok(()) };
            let signed: Signed = serde_json::from_slice(&bytes).map_err(|error| StoreError::damaged(&path, error))?;
            if signed.statement.name != *name {
                return Err(StoreError::damaged(&path, format_args!("it speaks of `{}`", signed.statement.name)));
            }
            history.push(signed).map_err(|error| StoreError::damaged(&path, error))?;
        }
    }

    /// Publishes what `make` says for the number that it is given. When another publishes at the same time, `make` is asked
    /// again, with the history that now is. When it returns none, nothing is published. `history` is caught up.
    ///
    /// # Errors
    /// Those of `make`; [`StoreError::Object`], [`StoreError::Damaged`], [`StoreError::NotNext`], [`StoreError::Busy`].
    pub async fn publish<E: From<StoreError>>(
        &self,
        name: &Name,
        history: &mut History,
        mut make: impl FnMut(&History) -> Result<Option<Signed>, E>,
    ) -> Result<Option<Signed>, E> {
        for _ in 0..TRIES {
            self.catch_up(name, history).await?;
            let Some(signed) = make(history)? else { return Ok(None) };
            history.check_next(&signed.statement).map_err(StoreError::from)?;
            let path = self.statement_at(name, signed.statement.sequence);
            let bytes = serde_json::to_vec_pretty(&signed).map_err(|error| StoreError::damaged(&path, error))?;
            if self.create(&path, bytes).await? {
                history.push(signed.clone()).map_err(StoreError::from)?;
                return Ok(Some(signed));
            }
        }
        Err(StoreError::Busy.into())
    }

    /// Publishes `signed` with the number that it has.
    ///
    /// # Errors
    /// As [`Store::publish`]; [`NotNext::Sequence`] when another one has the number.
    pub async fn publish_as(&self, history: &mut History, signed: &Signed) -> Result<(), StoreError> {
        let name = &signed.statement.name;
        self.publish(name, history, |_| Ok::<_, StoreError>(Some(signed.clone()))).await.map(|_| ())
    }
}

impl StoreError {
    /// Whether another statement has taken the number.
    pub fn is_taken(&self) -> bool {
        matches!(self, Self::NotNext(NotNext::Sequence { .. }))
    }
}
