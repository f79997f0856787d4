//! The store as operators look after it: is everything whole, and is the index?

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Error, blocking};
use crate::store::{IndexState, Store, StoreError, Verified};

/// How the store stands just now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreState {
    /// The look-up index.
    pub index: IndexState,
    /// While it is verified: messages read.
    pub verified: Option<usize>,
    /// Of how many.
    pub of: Option<usize>,
}

/// How it stands; nothing is read.
pub fn state(store: &Store) -> StoreState {
    let (verified, of) = store.verifying().unzip();
    StoreState { index: store.index(), verified, of }
}

/// What `status` says about the index: nothing where it is whole or not needed.
pub fn index_trouble(index: &IndexState) -> Option<String> {
    matches!(index, IndexState::Building { .. } | IndexState::Broken { .. }).then(|| index.to_string())
}

/// Reads everything that is kept and compares it with what was written.
///
/// # Errors
/// When a folder cannot be read.
pub async fn verify(store: Arc<Store>) -> Result<Verified, Error> {
    blocking(move || Ok(store.verify(|_, _| ())?)).await
}

/// Begins to make the index again; [`state`] says how far it is.
///
/// # Errors
/// [`Error::ReadOnly`] where the store may not be changed, [`Error::Conflict`] where it is being made already or cannot be.
pub async fn rebuild(store: Arc<Store>) -> Result<StoreState, Error> {
    blocking(move || {
        store.rebuild_index().map_err(|error| match error {
            StoreError::Settings(why) => Error::Conflict(why),
            error => error.into(),
        })?;
        Ok(state(&store))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::{Place, RecipientState};
    use crate::operate::quarantine::tests::{entry, put};
    use crate::store::Settings;

    #[tokio::test]
    async fn verified_and_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(dir.path(), &Settings { index_from: 1, ..Settings::default() }).unwrap();
        put(&store, entry(Place::Quarantine, RecipientState::Held)).await;
        store.checkpoint().await.unwrap();
        while store.index() != IndexState::Whole {
            tokio::task::yield_now().await;
        }
        let verified = verify(store.clone()).await.unwrap();
        assert!(verified.is_whole(), "{verified:?}");
        assert_eq!((verified.files.count, verified.journal.count, verified.index_right, verified.index_stale), (1, 0, 1, 0));
        rebuild(store.clone()).await.unwrap();
        while store.index() != IndexState::Whole {
            tokio::task::yield_now().await;
        }
        assert_eq!(state(&store), StoreState { index: IndexState::Whole, verified: None, of: None });
        store.close().await;
        drop(store);
        let (store, _) = Store::open_read_only(dir.path(), &Settings::default()).unwrap();
        assert!(matches!(rebuild(store).await, Err(Error::ReadOnly(_))));
    }

    #[test]
    fn what_status_says() {
        assert_eq!(index_trouble(&IndexState::Whole).or(index_trouble(&IndexState::Unneeded)), None);
        assert!(index_trouble(&IndexState::Building { done: 1, of: 2 }).unwrap().contains("50 %"));
        assert!(index_trouble(&IndexState::Broken { why: "x".into() }).unwrap().contains("cannot be used"));
    }
}
