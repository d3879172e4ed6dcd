//! The durable key store, shared by the sessions of a node.

use std::ffi::{CStr, c_char};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use keystill_engine::store::{Folder, KeyId, KeyStore, Limits, Share, Store, StoreError};
use zeroize::Zeroize;

use crate::border::{KeystillStatus, Status, guarded, null, out_of_range};

/// A folder that remembers what sessions must not forget, and delivers each key once. Opaque.
pub struct KeystillStore {
    pub(crate) store: Arc<Mutex<Store<Folder>>>,
}

/// Which keys are handed out at this end. Two ends that both hand out keys by themselves take one the
/// even and the other the odd ones, so that no key is handed out at both.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeystillShare {
    /// Every key: the other end delivers by ID only.
    All = 0,
    /// Keys at even places of their block.
    Even = 1,
    /// Keys at odd places.
    Odd = 2,
}

/// A key of 256 bits with its ID, which is the same at both ends. Wipe it after use.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct KeystillKey {
    /// Its ID.
    pub id: [u8; 16],
    /// The key.
    pub bytes: [u8; 32],
}

impl KeystillStore {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Store<Folder>> {
        // A store that panicked in the middle is closed by its own books, not by the lock.
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) fn storage(error: &StoreError) -> (Status, String) {
    let status = match error {
        StoreError::Delivered { .. } | StoreError::Unknown { .. } | StoreError::Spoilt { .. } => {
            Status::NoKey
        }
        _ => Status::Storage,
    };
    (status, error.to_string())
}

/// Opens the store in a folder, which is made if it is not there, and stores it in `*store`. One process
/// at a time has it. Free it with keystill_store_free(), after the sessions that use it.
///
/// # Safety
/// `folder` ends with a zero; `store` points to room for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keystill_store_open(
    folder: *const c_char,
    store: *mut *mut KeystillStore,
) -> KeystillStatus {
    guarded(|| {
        if folder.is_null() {
            return Err(null("folder"));
        }
        if store.is_null() {
            return Err(null("store"));
        }
        // SAFETY: not null, and the caller vouches for the zero.
        let folder = unsafe { CStr::from_ptr(folder) };
        let folder = folder.to_str().map_err(|_| out_of_range("`folder` is not UTF-8"))?;
        let disk = Folder::open(Path::new(folder))
            .map_err(|error| (Status::Storage, format!("{folder}: {error}")))?;
        let opened = Store::open(disk, Limits::default()).map_err(|error| storage(&error))?;
        let made = Box::into_raw(Box::new(KeystillStore { store: Arc::new(Mutex::new(opened)) }));
        // SAFETY: not null, and the caller vouches for the room.
        unsafe { store.write(made) };
        Ok(())
    })
}

/// How many keys can be delivered; 0 for null.
///
/// # Safety
/// `store` is null, or came from keystill_store_open() and was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keystill_store_available(store: *const KeystillStore) -> u64 {
    let mut available = 0;
    // Null has no key: what went wrong is in the number.
    let _ = guarded(|| {
        // SAFETY: the caller vouches for the handle.
        available = unsafe { store.as_ref() }.map_or(0, |store| store.lock().available());
        Ok(())
    });
    available
}

/// Delivers the next key, once ever: it is marked as spent on the disk before it is in `*key`.
/// KEYSTILL_STATUS_NO_KEY if there is none. `share` is a KeystillShare. Any thread may call it.
///
/// # Safety
/// `store` came from keystill_store_open() and was not freed; `key` points to room for a key.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keystill_store_next(
    store: *const KeystillStore,
    share: u32,
    key: *mut KeystillKey,
) -> KeystillStatus {
    guarded(|| {
        // SAFETY: the caller vouches for the handle.
        let store = unsafe { store.as_ref() }.ok_or_else(|| null("store"))?;
        // SAFETY: the caller vouches for the room.
        let room = unsafe { key.as_mut() }.ok_or_else(|| null("key"))?;
        let share = match share {
            0 => Share::All,
            1 => Share::Even,
            2 => Share::Odd,
            _ => return Err(out_of_range("`share` is KEYSTILL_SHARE_ALL, _EVEN or _ODD")),
        };
        let mut keys = store.lock().deliver_next(share, 1).map_err(|error| storage(&error))?;
        let found = keys.pop().ok_or((Status::NoKey, "no key is stored: ask again later".into()))?;
        copy(&found, room);
        Ok(())
    })
}

/// Delivers the key of an ID, once ever. KEYSTILL_STATUS_NO_KEY if it never was here or is gone.
///
/// # Safety
/// `store` came from keystill_store_open() and was not freed; `id` points to 16 bytes, `key` to room for
/// a key.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keystill_store_by_id(
    store: *const KeystillStore,
    id: *const u8,
    key: *mut KeystillKey,
) -> KeystillStatus {
    guarded(|| {
        // SAFETY: the caller vouches for the handle.
        let store = unsafe { store.as_ref() }.ok_or_else(|| null("store"))?;
        // SAFETY: the caller vouches for the ID, and an array of bytes has no alignment.
        let id = unsafe { id.cast::<[u8; 16]>().as_ref() }.ok_or_else(|| null("id"))?;
        // SAFETY: the caller vouches for the room.
        let room = unsafe { key.as_mut() }.ok_or_else(|| null("key"))?;
        let found = store.lock().deliver(KeyId::from_bytes(*id)).map_err(|error| storage(&error))?;
        copy(&found, room);
        Ok(())
    })
}

fn copy(key: &keystill_engine::store::Key, room: &mut KeystillKey) {
    room.id = key.id.bytes();
    room.bytes.copy_from_slice(key.bytes());
}

/// Overwrites a key, so that the compiler leaves nothing of it. Null is fine.
///
/// # Safety
/// `key` is null or points to a key.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keystill_key_wipe(key: *mut KeystillKey) {
    // SAFETY: the caller vouches for the key.
    if let Some(key) = unsafe { key.as_mut() } {
        key.bytes.zeroize();
    }
}

/// Frees a store. Null is fine. Sessions that use it keep it open until they are freed, too.
///
/// # Safety
/// `store` is null, or came from keystill_store_open() and is not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keystill_store_free(store: *mut KeystillStore) {
    if store.is_null() {
        return;
    }
    // Dropping cannot fail; a panic must not cross all the same.
    let _ = guarded(|| {
        // SAFETY: made by `Box::into_raw` above; the caller gives it back once.
        drop(unsafe { Box::from_raw(store) });
        Ok(())
    });
}
