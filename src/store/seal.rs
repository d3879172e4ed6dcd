//! What leaves the process but not the site is sealed: rows of a database, questions to workers.
//!
//! ```text
//! sealed = salt:16 bytes · ChaCha20-Poly1305(text) · tag:16 bytes
//! ```
//!
//! Each has a cipher key of its own, BLAKE3 keyed with the site's key over what it is and its salt, so the
//! nonce may be zero. What it is, a key's ID for instance, is authenticated too: nothing can be exchanged.

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroizing;

use crate::random::{Draw, OperatingSystem, Purpose, RandomSource};

const SALT: usize = 16;

/// The key that the machines of a trusted site share. Wiped on drop.
pub struct SiteKey(Zeroizing<[u8; 32]>);

impl std::fmt::Debug for SiteKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SiteKey(32 bytes)")
    }
}

impl SiteKey {
    /// A key of 32 secret, random bytes.
    #[must_use]
    pub fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    fn cipher(&self, what: &[u8], salt: &[u8]) -> Option<LessSafeKey> {
        let what = [b"keystill sealed 1 ".as_slice(), what, salt].concat();
        let key = Zeroizing::new(*blake3::keyed_hash(&self.0, &what).as_bytes());
        UnboundKey::new(&CHACHA20_POLY1305, &*key).ok().map(LessSafeKey::new)
    }

    /// Seals a text under what it is. `None` if the random generator fails.
    #[must_use]
    pub fn seal(&self, what: &[u8], text: &[u8]) -> Option<Vec<u8>> {
        let mut salt = [0; SALT];
        // The operating system's generator ignores what a draw is for.
        let draw = Draw { block: 0, purpose: Purpose::KeyBits, index: 0 };
        OperatingSystem.draw(draw, &mut salt).ok()?;
        let cipher = self.cipher(what, &salt)?;
        let mut text = Zeroizing::new(text.to_vec());
        let tag = cipher.seal_in_place_separate_tag(nonce(), Aad::from(what), &mut text).ok()?;
        Some([salt.as_slice(), &text, tag.as_ref()].concat())
    }

    /// Opens what was sealed under this key as this. `None` if it was not.
    #[must_use]
    pub fn open(&self, what: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (salt, sealed) = sealed.split_at_checked(SALT)?;
        let mut text = Zeroizing::new(sealed.to_vec());
        let length = self.cipher(what, salt)?.open_in_place(nonce(), Aad::from(what), &mut text).ok()?.len();
        text.truncate(length);
        Some(text)
    }
}

fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_text_opens_under_its_site_key_as_what_it_is_only() {
        let site = |fill: u8| SiteKey::new(Zeroizing::new([fill; 32]));
        let text = b"a key of a link";
        let sealed = site(5).seal(b"one", text).expect("a random generator");
        assert_eq!(sealed.len(), SALT + text.len() + 16, "its length");
        let opened = site(5).open(b"one", &sealed);
        assert_eq!(opened.expect("sealed here").as_slice(), text, "and back");
        assert_ne!(site(5).seal(b"one", text), Some(sealed.clone()), "a fresh salt");
        assert!(site(6).open(b"one", &sealed).is_none(), "another site's key");
        assert!(site(5).open(b"two", &sealed).is_none(), "something else");
        for at in 0..sealed.len() {
            let mut wrong = sealed.clone();
            wrong[at] ^= 1;
            assert!(site(5).open(b"one", &wrong).is_none(), "byte {at} changed");
        }
        assert!(site(5).open(b"one", &sealed[..9]).is_none(), "cut");
    }
}
