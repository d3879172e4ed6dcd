//! Bring-up and care of a link: what to do at first, and when something is used up.
//!
//! Every command here is for a node that has ended; a state folder belongs to one process.
//!
//! # The pre-shared key, at first
//!
//! Each protocol needs a key of its own: two hash keys and pads, four a block, until distilled key refills them.
//!
//! ```text
//! keystill pads new bb84.key --blocks 1000                 # at one end; 0600, the operating system's randomness
//! keystill pads new cv.key --blocks 1000
//! # somebody carries both files to the other end; then, at both ends:
//! keystill pads install bb84.key --state alice.state --protocol bb84 --seed 7
//! keystill pads install cv.key --state alice.state --protocol cv --seed 7
//! keystill node alice --config alice.toml --state alice.state
//! ```
//!
//! `--seed` is that of `[world]` in the node's configuration and names the session. `install` overwrites the file and
//! removes it (`--keep` leaves it); a disk that moves what it writes may hold a copy, so carry keys on something that is
//! destroyed. A configuration's `pre_shared_key` does the same when the state folder is new, and leaves the file.
//! Nothing else may ever use these bytes.
//!
//! # When the pads are used up
//!
//! A block's key gives back what its tags took, and more while fewer than a hundred blocks are covered; long
//! noise does not spend pads, because only blocks that reach their tags do. Every connection takes a
//! pad each way. `pads_for_blocks` of `keystill node --status` and the metric `keystill_pads_blocks` tell what is left. At
//! the end the protocol stops with "pads spent", the other carries delivery, and nothing unauthenticated is released:
//!
//! ```text
//! keystill pads show --state alice.state --protocol bb84
//! keystill pads new bb84.key                                # at one end, carried to the other
//! keystill pads install bb84.key --state alice.state --protocol bb84 --seed 7    # at both ends
//! ```
//!
//! Keys in store, block numbers and ε go on. The new pads bear numbers of their own, the same at both ends if both
//! installed as many keys.
//!
//! # Pads that differ between the ends
//!
//! They need no care after crashes and cuts: every tag names its pad, the other end skips to it, and each connection
//! begins with what both have seen. Compare `next_pad` of `keystill pads show` at both ends.
//!
//! - *Pads may have been seen by somebody* (a disk was copied): `keystill pads skip --state DIR --protocol P --to N` at both
//!   ends with the same number above both `next_pad` gives up all below; better install a fresh key.
//! - *A state folder was restored from a backup*: the nodes refuse each other, because its pads and keys are spent.
//!   Keys that are left at the good end are lost: the other end no longer has them. Move both folders away, install
//!   fresh keys into new ones as at first, and choose another `seed`.
//! - *One end lost its folder*: the same.
//!
//! # Scheduled calibration
//!
//! The proof holds as long as the calibrated intervals do: `bb84.calibration_blocks` and `cv.calibration_blocks` blocks from
//! the session's first. Later blocks leave no key, and say "the calibration is stale". Before that, in a pause of the
//! link (SIGTERM ends a node in good order):
//!
//! 1. Measure: BB84 the mean photon numbers and their spread, CV-QKD the shot noise and the electronic noise. Bob's CV
//!    source states its new vacuum samples in the preamble of its stream ([`formats`](crate::formats)); one that comes
//!    back with another calibration while the node runs is refused until the node is started again.
//! 2. Write what was found into the configurations of both ends, alike, and raise the end of its validity: to the
//!    `next_block` of `keystill pads show` plus as many blocks as it holds, as in
//!    `set = ["cv.calibration_blocks=17280", "bb84.calibration_blocks=17280"]`.
//! 3. Start both nodes. They go on from their state folders; nodes whose parameters differ refuse each other and say so.
