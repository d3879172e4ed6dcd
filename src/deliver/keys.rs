//! What delivery asks of a store: keys of any size for a pair of applications, each given out once.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use zeroize::Zeroizing;

/// The ID of a key, in the text form of a UUID. The same at both ends.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 16]);

impl KeyId {
    /// An ID of 16 bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes.
    #[must_use]
    pub fn bytes(self) -> [u8; 16] {
        self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            let dash = if matches!(i, 4 | 6 | 8 | 10) { "-" } else { "" };
            write!(f, "{dash}{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is no UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key ID is a UUID: 32 hexadecimal digits, with or without dashes")]
pub struct NotAnId;

impl FromStr for KeyId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let dashes = text.len() == 36 && [8, 13, 18, 23].iter().all(|at| text.as_bytes()[*at] == b'-');
        let digits: Vec<u8> =
            if dashes { text.bytes().filter(|byte| *byte != b'-').collect() } else { text.into() };
        let nibble = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
        let mut id = [0; 16];
        if digits.len() != 32 {
            return Err(NotAnId);
        }
        for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = nibble(pair[0]).ok_or(NotAnId)? << 4 | nibble(pair[1]).ok_or(NotAnId)?;
        }
        Ok(Self(id))
    }
}

/// A key on its way out. Wiped on drop.
pub struct Key {
    /// Its ID.
    pub id: KeyId,
    /// Its bytes.
    pub bytes: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}, {} bytes)", self.id, self.bytes.len())
    }
}

/// Two applications that share keys, and where each of them gets its copy.
///
/// The master asks first and tells the slave the IDs; the slave collects its copies by them. Both ends
/// of a link list the same pairs in the same order.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pair {
    /// The application that asks for new keys.
    pub master: String,
    /// The application that collects them by their IDs.
    pub slave: String,
    /// The node at which the master asks.
    pub master_kme: String,
    /// The node at which the slave collects.
    pub slave_kme: String,
}

/// How many keys of which size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Want {
    /// Keys.
    pub number: usize,
    /// Bytes of each.
    pub key_bytes: usize,
}

/// Why keys cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unavailable {
    /// There are not that many.
    #[error("{available_bytes} bytes of key are stored; {wanted_bytes} were asked for")]
    Short {
        /// Bytes that are there.
        available_bytes: u64,
        /// Bytes asked for.
        wanted_bytes: u64,
    },
    /// A key was never here, or was delivered before.
    #[error("one or more keys specified are not found on KME")]
    NotFound,
    /// The store failed; nothing was released.
    #[error("the key store failed: {what}")]
    Failed {
        /// What happened.
        what: String,
    },
}

/// A store as delivery sees it: keys of any size for each pair of applications.
///
/// Whatever is returned has been marked as gone beforehand, so that it survives a crash: a crash in
/// between loses a key, but never lets it out twice.
pub trait Keys: Send + Sync + fmt::Debug {
    /// Bytes that a pair's master may still ask for.
    fn available_bytes(&self, pair: usize) -> u64;

    /// Bytes that a pair's pool may hold.
    fn capacity_bytes(&self, pair: usize) -> u64;

    /// New keys for a pair's master: all of them, or none.
    ///
    /// # Errors
    /// [`Unavailable::Short`] or [`Unavailable::Failed`].
    fn reserve(&self, pair: usize, want: Want) -> Result<Vec<Key>, Unavailable>;

    /// A pair's slave's copies, in the order of the IDs: all of them, or none.
    ///
    /// # Errors
    /// [`Unavailable::NotFound`] if any was never here, or was collected before; [`Unavailable::Failed`].
    fn collect(&self, pair: usize, ids: &[KeyId]) -> Result<Vec<Key>, Unavailable>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_they_are_written() {
        let id = KeyId::from_bytes(*b"0123456789abcdef");
        assert_eq!(id.to_string().parse(), Ok(id), "with dashes");
        assert_eq!(id.to_string().replace('-', "").to_uppercase().parse(), Ok(id), "without, in capitals");
        for wrong in [
            "",
            "0",
            &id.to_string()[1..],
            "0123-456789012345678901234567890123",
            "é0000000000000000000000000000000",
        ] {
            assert_eq!(wrong.parse::<KeyId>(), Err(NotAnId), "{wrong}");
        }
    }
}
