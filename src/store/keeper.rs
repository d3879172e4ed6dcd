//! Who remembers what a session asks to be remembered.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::session::{Entry, Remembered};

use super::disk::Disk;
use super::error::StoreError;
use super::{Key, KeyId, KeyStore, Share, Store};

/// Remembers the records of one party of one protocol.
pub trait Keeper: Send + fmt::Debug {
    /// Takes an entry; it lasts once [`Keeper::sync`] has returned.
    ///
    /// # Errors
    /// [`StoreError`].
    fn write(&mut self, entry: &Entry) -> Result<(), StoreError>;

    /// Makes everything taken last.
    ///
    /// # Errors
    /// [`StoreError`].
    fn sync(&mut self) -> Result<(), StoreError>;

    /// What to go on from after the session has failed; `None` if nothing was remembered.
    ///
    /// # Errors
    /// [`StoreError`].
    fn recall(&mut self) -> Result<Option<Remembered>, StoreError>;

    /// Whether a block of so many bits of key may be begun.
    fn has_room(&mut self, bits: u64) -> bool;
}

/// Remembers nothing: for sessions that end with their process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Forgetful;

impl Keeper for Forgetful {
    fn write(&mut self, _entry: &Entry) -> Result<(), StoreError> {
        Ok(())
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    fn recall(&mut self) -> Result<Option<Remembered>, StoreError> {
        Ok(None)
    }

    fn has_room(&mut self, _bits: u64) -> bool {
        true
    }
}

/// One protocol's part of a store that others share.
#[derive(Debug)]
pub struct Kept<D: Disk> {
    store: Arc<Mutex<Store<D>>>,
    protocol: &'static str,
    session: u128,
}

impl<D: Disk> Kept<D> {
    /// The part of a protocol whose pre-shared key was installed.
    #[must_use]
    pub fn new(store: Arc<Mutex<Store<D>>>, protocol: &'static str, session: u128) -> Self {
        Self { store, protocol, session }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Store<D>) -> T) -> T {
        // A store that panicked in the middle is closed by its own books, not by the lock.
        act(&mut self.store.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<D: Disk> Keeper for Kept<D> {
    fn write(&mut self, entry: &Entry) -> Result<(), StoreError> {
        self.with(|store| store.write(self.protocol, entry))
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        self.with(Store::sync)
    }

    fn recall(&mut self) -> Result<Option<Remembered>, StoreError> {
        self.with(|store| store.recall(self.protocol, self.session)).map(Some)
    }

    fn has_room(&mut self, bits: u64) -> bool {
        self.with(|store| store.has_room_for(self.protocol, bits))
    }
}

impl<D: Disk> KeyStore for Arc<Mutex<Store<D>>> {
    fn available(&self) -> u64 {
        self.lock().unwrap_or_else(PoisonError::into_inner).available()
    }

    fn deliver_next(&mut self, share: Share, most: usize) -> Result<Vec<Key>, StoreError> {
        self.lock().unwrap_or_else(PoisonError::into_inner).deliver_next(share, most)
    }

    fn deliver(&mut self, id: KeyId) -> Result<Key, StoreError> {
        self.lock().unwrap_or_else(PoisonError::into_inner).deliver(id)
    }

    fn deliver_each(&mut self, ids: &[KeyId]) -> Result<Vec<Result<Key, StoreError>>, StoreError> {
        self.lock().unwrap_or_else(PoisonError::into_inner).deliver_each(ids)
    }
}
