//! keystill distils the raw data of quantum key distribution into secret key.
//!
//! # The way of a key
//!
//! ```text
//! frame ─offer→ intake ─▶ a wing per protocol: sift and count (bb84), rotate and estimate (cv)
//!    reference side: bits ───────┐
//!    correcting side: soft bits ─┴▶ reconcile → Candidate → verify → VerifiedBlock
//!    → key length from counts and ledger → amplify → AmplifiedBlock
//!    → transcript tags and accept tags, both ways → SecretKey → store (part goes back to auth)
//! every message is absorbed by auth into its direction's transcript of its block
//! ```
//!
//! Every arrow is a move, and only the stage before it can build what moves: a key that was not
//! verified cannot be amplified, one that was not accepted by both sides cannot be stored.
//!
//! A [`session`] is one party of one protocol as a sans-IO state machine: it asks for computing and
//! sending ([`session::Output`]) and is told the results ([`session::Input`]); raw frames go in by
//! [`session::Session::offer`]. All randomness is a [`random::RandomSource`]. Blocks close by count,
//! never by time, and results join by number, so neither threads nor timing change a key. Everything
//! has a count, and [`session::Config::memory_bound`] is their sum.
//!
//! Three kinds of failure are never blurred: [`stage::Abort`] (nature: the block is lost, wiped and
//! booked, the session goes on), [`session::Error`] (the peer or the configuration: the session is
//! over and says the same ever after), and a panic (our bug).
//!
//! # The rooms, by floor
//!
//! A room imports rooms of lower floors only; rooms on one floor do not import each other, but
//! `protocol` speaks of `reconcile`'s tasks, `store` takes `session`'s keys, `auth` names `stage`'s
//! roles. `tests/house.rs` holds it.
//!
//! | floor | rooms |
//! |---|---|
//! | 11 | the command line |
//! | 10 | `sim` (feature `sim`): a seeded world that makes raw frames · `deliver` (feature `serve`): keys to applications · `offload` (feature `nats`): decoding elsewhere on the site |
//! | 9 | [`pipeline`]: the only threads, sockets and clock; recordings |
//! | 8 | [`session`] · [`store`] |
//! | 7 | [`amplify`] |
//! | 6 | [`verify`] · [`bb84`] · [`cv`] |
//! | 5 | [`reconcile`] · [`protocol`] |
//! | 4 | [`stage`] · [`auth`] |
//! | 3 | [`wire`] |
//! | 2 | [`bits`] · [`random`] |
//! | 1 | `keystill-kernels` · [`ledger`] · [`bounds`] · [`columns`] · [`npy`] · `channel` (feature `sim`, apart) |
//!
//! Where this differs from a first plan: the protocols meet the hall through one state machine each,
//! [`protocol::Wing`], instead of a list of functions, because BB84 reconciles after its block's last
//! gate and CV while the block comes in; and reconciliation, verification and whatever else talks about
//! one block or frame are [`stage::Stage`]s whose types the session forgets
//! ([`stage::Conversation`]), so that a new method adds no line to the session.
//!
//! What a key rests on, and what it does not: [`promises`]. What is read and written: [`formats`]. Bring-up and care of a
//! link: [`bring_up`].
//!
//! # Which rooms an embedder needs
//!
//! [`session`], [`protocol`], [`bb84`] or [`cv`], [`auth`], [`random`], and [`pipeline`] if its threads
//! and sockets will do. `default-features = false` builds them without simulator and command line.
#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "tests make their numbers from counters"
    )
)]

pub mod amplify;
pub mod auth;
pub mod bb84;
pub mod bits;
pub mod bounds;
pub mod bring_up;
#[cfg(feature = "sim")]
pub mod channel;
pub mod columns;
pub mod cv;
#[cfg(feature = "serve")]
pub mod deliver;
pub mod formats;
pub mod ledger;
pub mod npy;
#[cfg(feature = "nats")]
pub mod offload;
pub mod pipeline;
pub mod promises;
pub mod protocol;
pub mod random;
pub mod reconcile;
pub mod session;
#[cfg(feature = "sim")]
pub mod sim;
pub mod stage;
pub mod store;
pub mod verify;
pub mod wire;

pub use keystill_kernels::{Isa, UnknownIsa};

/// The README's examples, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
