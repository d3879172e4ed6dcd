//! Why a store cannot do what it is asked.

use std::io;
use std::sync::Arc;

use super::KeyId;

/// Why a store cannot do what it is asked.
///
/// After [`StoreError::Io`] a store is closed and says the same ever after: what is on the disk is
/// unknown until it is opened again, which finds out.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Reading or writing failed.
    #[error("cannot {operation} the {file} file: {source}{}; the store is closed: mend the disk and start again", remedy(.source))]
    Io {
        /// What was tried.
        operation: &'static str,
        /// The file.
        file: &'static str,
        /// What the operating system said.
        source: Arc<io::Error>,
    },
    /// The database failed; what it did not confirm is not delivered.
    #[error("the key database failed: {what}; nothing was delivered, ask again once it is mended")]
    Database {
        /// What it said.
        what: String,
    },
    /// A file is damaged where no crash damages it.
    #[error(
        "the {file} file is damaged at byte {offset}; put the disk right, or begin with an empty state and a fresh \
         pre-shared key (an older copy would be refused by the peer)"
    )]
    Damaged {
        /// The file.
        file: &'static str,
        /// Where.
        offset: u64,
    },
    /// A file is of another version.
    #[error("the {file} file has format version {found}, this program knows version {known}")]
    Version {
        /// The file.
        file: &'static str,
        /// Its version.
        found: u64,
        /// Ours.
        known: u64,
    },
    /// The state belongs to another link.
    #[error(
        "the state is of {what}, which differs from the configuration; use the state's own, or an empty folder"
    )]
    Foreign {
        /// What differs.
        what: &'static str,
    },
    /// The store is full: deliver keys first.
    #[error("the store holds {held_bits} bits of its {capacity_bits}; deliver keys before adding more")]
    Full {
        /// Bits held.
        held_bits: u64,
        /// Bits that it may hold.
        capacity_bits: u64,
    },
    /// A group of records is longer than a journal holds.
    #[error("{bytes} bytes are too long for one group of the journal")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// A key was delivered before, or its block came to nothing.
    #[error("key {id} was delivered before; a key is delivered once")]
    Delivered {
        /// The key.
        id: KeyId,
    },
    /// No key has this ID here, or not yet.
    #[error("key {id} is not in this store")]
    Unknown {
        /// The key.
        id: KeyId,
    },
    /// A key's bytes changed on the disk: it is lost, and never delivered.
    #[error("key {id} was damaged on the disk and is lost; the peer's copy is of no use either")]
    Spoilt {
        /// The key.
        id: KeyId,
    },
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull => " (the disk is full)",
        io::ErrorKind::WouldBlock => " (stop the other process)",
        _ => "",
    }
}

impl StoreError {
    pub(super) fn during(operation: &'static str, file: &'static str) -> impl Fn(io::Error) -> Self {
        move |source| Self::Io { operation, file, source: Arc::new(source) }
    }
}
