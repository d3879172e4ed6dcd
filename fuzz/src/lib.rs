//! What each fuzz target does with bytes, so that libFuzzer and the tests run the same.
//!
//! `cargo +nightly fuzz run NAME` explores one (it needs nightly and `cargo install cargo-fuzz`);
//! `cargo test --test fuzz` runs all of them over the corpora in `corpus/` and over seeded mutations of them, with a
//! stable compiler.

use arbitrary::{Arbitrary, Unstructured};

mod amplify;
mod auth;
mod bits;
mod cascade;
mod codes;
mod health;
mod journal;
mod keylen;
mod ldpc;
mod leaf;
mod recorded;
mod session;
mod slices;
mod store;
mod verify;
mod wire;

/// A target's name, and what it does with bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 16] = [
    ("amplify", amplify::run),
    ("auth", |bytes| typed(bytes, auth::run)),
    ("bits", |bytes| typed(bytes, bits::run)),
    ("cascade", |bytes| typed(bytes, cascade::run)),
    ("codes", |bytes| typed(bytes, codes::run)),
    ("health", |bytes| typed(bytes, health::run)),
    ("journal", |bytes| typed(bytes, journal::run)),
    ("keylen", keylen::run),
    ("ldpc", |bytes| typed(bytes, ldpc::run)),
    ("leaf", |bytes| typed(bytes, leaf::run)),
    ("recorded", |bytes| typed(bytes, recorded::run)),
    ("session", |bytes| typed(bytes, session::run)),
    ("slices", |bytes| typed(bytes, slices::run)),
    ("store", |bytes| typed(bytes, store::run)),
    ("verify", |bytes| typed(bytes, verify::run)),
    ("wire", |bytes| typed(bytes, wire::run)),
];

/// Runs a target. Panics if it finds something.
pub fn run(name: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|(own, _)| *own == name);
    target.expect("a target of this name").1(bytes);
}

/// Runs a body on what the bytes stand for.
fn typed<T: for<'a> Arbitrary<'a>>(bytes: &[u8], body: fn(T)) {
    if let Ok(input) = T::arbitrary_take_rest(Unstructured::new(bytes)) {
        body(input);
    }
}
