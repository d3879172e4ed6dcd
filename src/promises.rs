//! What keystill promises: statements, theorems, assumptions, ε, and what is not covered.
//!
//! # The statement
//!
//! Whenever a [`SecretKey`](crate::session::SecretKey) leaves a session, then but for the ε on its
//! [`Certificate`](crate::session::Certificate) both sides hold the same bits, and nobody else can tell
//! them from uniform ones: in the composable sense, ε bounds the distance of the whole protocol, aborts
//! included, from an ideal one that hands out perfect keys. ε adds up over blocks; so do those of other
//! systems that use the keys.
//!
//! # The theorems
//!
//! | step | statement | source | ε |
//! |---|---|---|---|
//! | BB84 length | variable length, coherent attacks, decoy states | Tupkary, Nahar, Sinha, Lütkenhaus, arXiv:2408.17349, the variable-length theorem | 2 ε_AT + ε_PA |
//! | its phase errors | exact hypergeometric bound; decoys by a linear program with a certified dual | [`bb84::security`](crate::bb84::security), points 1 to 4 | ε_AT² shared by all tail events |
//! | CV length | collective attacks, reverse reconciliation, heterodyne | Pirandola, Papanastasiou, arXiv:2301.10270, equipartition term; extremality of Gaussian states (PRL 96, 080502; PRL 97, 190502 and 190503) | 2 ε_s + ε_PA |
//! | the same with quadratures in slices | digitised variables: 8 raw bits a symbol, less the relative entropy of the variance assumed to the true one | the same; [`cv::security::slices`](crate::cv::security::slices) | the same |
//! | its channel | χ² and normal intervals, worst corner | [`cv::security`](crate::cv::security) | ε_PE |
//! | CV, general attacks | as a formula, not in sessions: heterodyne with an energy test | Leverrier, PRL 118, 200501 (2017): [`cv::security::general`](crate::cv::security::general) | ε' = K⁴ ε/50 |
//! | calibrated intervals | intensities, their probabilities, η, v_el | [`protocol::Validity`](crate::protocol::Validity) | as configured |
//! | verification | polynomial hash over GF(2¹²⁸) under a fresh key: two strings of L blocks collide with at most L/2¹²⁸ | Bibak, Kapron, Srinivasan, EPJ Quantum Technol. 9, 8 (2022) | ε_EV = L/2¹²⁸ |
//! | amplification | modified Toeplitz hash under a fresh seed, leftover-hash lemma | [`amplify`](crate::amplify) | in ε_PA |
//! | authentication | ε-AXU hash with its length as last block, one-time pad on every tag, hash key recycled | Wegman, Carter, JCSS 22 (1981) 265; Portmann, IEEE Trans. Inf. Theory 60 (2014) 4383 | (⌈M/128⌉ + 1)/2¹²⁸ a tag |
//! | delayed authentication | four tags a block over both transcripts and both acceptances; no key before the last | Tupkary, Nahar, Tan, arXiv:2601.17960 | – |
//!
//! Failed frames are paid for: BB84 subtracts them whole, H(kept) ≥ H(all) − n_failed; CV estimates over
//! all frames, failed ones opened, and gives a block up of which verification finds a frame different: its sums were
//! rebuilt from that frame. Nothing of a block is heard after the tag that closes its transcript. Everything said about the key is subtracted as the
//! [`Ledger`](crate::ledger::Ledger) booked it, both directions of Cascade and every verdict too; no length
//! is ever reckoned from an efficiency. There is one floor, at the end, after rounding outward
//! ([`bounds`](crate::bounds)).
//!
//! Keys of two protocols may be joined ([`store::Combination`](crate::store::Combination)): a sum is secret if one of its
//! summands is, and its ε, as that of a stream of both protocols' keys, is counted as the sum of theirs.
//!
//! # ε of the default configuration
//!
//! A block of BB84 or CV claims ε = 1e-10. Three quarters are spent by the key length; a quarter is left for
//! calibration, verification and authentication, of which the latter two hardly take any. A session stops
//! at 10⁵ blocks' worth, aborted blocks counted in full, because Eve chooses which they are:
//!
//! ```
//! use std::sync::Arc;
//!
//! use keystill::auth::TAGS_PER_BLOCK;
//! use keystill::bb84::{self, Bb84};
//! use keystill::cv;
//! use keystill::protocol::Protocol;
//! use keystill::random::OperatingSystem;
//! use keystill::session::Config;
//! use keystill::stage::Role;
//!
//! let protocol = Arc::new(Bb84::default());
//! assert_eq!(protocol.epsilon(), 1e-10);
//!
//! let length: f64 = bb84::security::Budget::of_block(1e-10).epsilons().iter().map(|(_, epsilon)| epsilon).sum();
//! assert_eq!(length, 7.5e-11);
//! let of_cv: f64 = cv::security::Budget::of_block(1e-10).epsilons().iter().map(|(_, epsilon)| epsilon).sum();
//! assert!((of_cv - 7.5e-11).abs() < 1e-25);
//!
//! // The longest block and the longest transcripts that a session reads: 2e8 bits, a gigabyte each way.
//! let verification = 2.0 * (protocol.most_key_bits() as f64 / 128.0) / 2f64.powi(128);
//! let authentication = TAGS_PER_BLOCK as f64 * (8e9 / 128.0 + 1.0) / 2f64.powi(128);
//! assert!(length + verification + authentication < 7.500_000_1e-11);
//!
//! let config = Config::new(Role::Alice, 1, protocol, Arc::new(OperatingSystem));
//! assert_eq!(config.epsilon_cap, 1e-5);
//! ```
//!
//! # What is assumed
//!
//! Of every system:
//! - Quantum mechanics holds; the laboratories leak nothing; both sides' devices behave as described here.
//! - The pre-shared key is secret and used for no other session. Its hash keys and pads serve one
//!   protocol in one direction; pads cut from distilled key carry that key's ε along.
//! - Randomness is uniform and independent of everything that Eve holds. **The operating system's generator is
//!   computational**: what a key drew from it is printed in its certificate. A device behind
//!   [`RandomSource`](crate::random::RandomSource) makes it physical; [`random::health`](crate::random::health)
//!   finds sources that are stuck or grossly biased, no subtle ones.
//! - Alice's settings (bits, bases, intensities, modulation) come with the raw frames; their uniformity is the
//!   device's.
//! - Clocks on both sides agree well enough for blocks to be the same gates.
//!
//! Of BB84: phases are random; pulses are uncorrelated; mean photon numbers and their probabilities lie within
//! the configured intervals; each side chooses the test basis by itself, at least as often as configured; single photons of both bases are in
//! the same mixed state; detection does not
//! depend on the basis, or within [`Mismatch`](crate::bb84::security::mismatch::Mismatch) only. Clicks within
//! the dead time of either detector are dropped for both, whether the click before was itself dropped, in the frame
//! before, or may have been before the block; double clicks became random bits; **that afterpulses
//! do not correlate bases and bits beyond this is assumed**. Blocks are fixed in gates; positions are told
//! first, bases and intensities after the last gate.
//!
//! A transmittance that moves, because channels beside the signal were switched, is no secret: the block's record and
//! certificate state it for both halves, and [`Event::TransmittanceMoved`](crate::session::Event::TransmittanceMoved) tells
//! of more than six standard errors. The key length takes the block's mean, whose spread counts as excess noise.
//!
//! Of CV: attacks are collective and the same on every symbol, unless general attacks are asked for; Gaussian
//! noise for the confidence intervals (sums that no channel has, one that amplifies or is quieter than the vacuum, make no
//! key); the modulation is Gaussian as recorded; η and v_el are out of Eve's
//! reach and within their intervals; the shot noise during key distribution is the calibrated one (no attack on
//! the local oscillator's calibration); a frame that passed is in the same state as any frame.
//!
//! # What is not covered
//!
//! - Side channels of devices: Trojan horses, detector blinding, laser damage, light leaking from Alice,
//!   correlations between pulses, an oscillator that Eve reaches.
//! - Timing: tags, comparisons and hashes take the same time whatever the secrets are (measured in
//!   `benches/record/`); **decoders do not**. Their iterations depend on the error pattern, which the proofs
//!   leave to Eve, but not on key bits given that pattern.
//! - Memory that the operating system copies (swap, hibernation, core dumps) before it is wiped, where it may.
//!   Hash keys and pads lie in locked pages that are left out of dumps, as far as the user's limit goes
//!   ([`Pool::is_locked`](crate::auth::Pool::is_locked)); a node locks all it has if nothing limits that, and turns
//!   dumps off; `keystill doctor` tells what was granted. Hibernation copies locked pages too.
//! - General attacks on CV sessions: [`general::key_length`](crate::cv::security::general::key_length) pays for them, but a
//!   session neither rotates its data at random nor tests energies, so that its keys hold against collective attacks.
//! - Discrete modulation (QPSK, QAM): [`cv::security::discrete`](crate::cv::security::discrete) gives the rate of Denys, Brown and
//!   Leverrier in the limit of many symbols, against collective attacks. The composable proof for finite blocks
//!   (Kanitschar et al., PRX Quantum 4, 040306 (2023)) asks for a semidefinite program; no key is made without it.
//! - Homodyne detection: in the formulas of the literature only. Sessions measure both quadratures.
//! - One decoy, without the probabilities of the test basis: in the formula of Rusca 2018 only. Where they are known, errors of
//!   the test basis bound the empty pulses of both, and keys are made ([`bb84::security`](crate::bb84::security), two
//!   intensities). Wiesemann et al. (arXiv:2405.16578) is not implemented.
//! - Denial of service: whoever cuts the line stops the key. Failed blocks consume pads and ε.
//! - The last message may be lost: then one side holds a key that the other does not; the store delivers
//!   none that only one side holds.
//! - [`bb84::security::published`](crate::bb84::security::published) and
//!   [`cv::security::published`](crate::cv::security::published) are formulas of the literature for comparison.
//!   Lim 2014 and Rusca 2018 are proved for fixed lengths only, and their γ is no bound. No key is made by them.
//!
//! # What tests would notice
//!
//! A mutant is this code with one operator, comparison or result changed, as `cargo mutants` changes them. Of the rooms
//! that security rests on, more than 95 % fail their own room's tests: figures and date in
//! `benches/record/2026-11-30-mutants.md`, again by `.ci/mutants ROOM SHARD`. What is missed changes no key and no tag,
//! or errs to the safe side:
//!
//! - `auth`: none. `ledger`: none that differs; `new` is `default`.
//! - [`random::health`](crate::random::health): raw key of two bits, which is never out of range; `^` for `|` of bits
//!   that are never both set; `≥` for `>` at a limit that no count meets exactly.
//! - [`bounds`](crate::bounds), comparisons where both sides give the same: ε of zero, whose logarithm takes the way of
//!   the trivial bound; the larger of two equals; limits between two formulas that agree there to the last digits (e^x at
//!   ±700, ln(1 + x) at 1e-3, logarithms at 0.1, deviances).
//! - `bounds`, searches: where Newton's iteration or a bisection starts, provided that it is outside of the root; how wide
//!   the bracket is; when it stops. Every iterate is a valid bound.
//! - `bounds`, sums of tails: terms too small to count, and whether what is cut at 20 000 terms is bounded a little
//!   further out than needed.
//! - `bounds`, margins: one of several that are added for rounding, each of which covers the error by itself.
//! - Security rooms: vertices that the search for multipliers tries (whatever it finds is certified apart, and a test
//!   compares it with the closed formula), one count or one double at a limit, checks that another one covers, photon
//!   numbers above 200.
