//! Raw data of VeriQloud's Kiwi, the open hardware of their Qline: angles and click results.
//!
//! ```text
//! angles  = byte · …        two clicks a byte, the earlier one in the low four bits
//! click   = angle index:2 · weak:1 · 0:1        from the lowest bit; `weak` on Alice's side only
//! results = byte · …        one a click, 0 or 1, on Bob's side only
//! ```
//!
//! The angle index counts quarter turns in Gray code: 0 is 0, 1 is π/2, 3 is π, 2 is 3π/2. With a and b quarter turns of the
//! two sides and a + b odd, the result of a pulse is ((a + b + 1) / 2) mod 2; with a + b even it is a coin. So
//!
//! ```text
//! Alice   test basis: a odd      bit: a / 2
//! Bob     test basis: b even     bit: result ⊕ 1 ⊕ b / 2
//! ```
//!
//! `weak` tells the weaker of two intensities. Sources, in the repositories of github.com/VeriQloud: `kiwi_doc`,
//! `electronics/fpga/ddr4.md` (four bits a click); `kiwi_hw_control`, `qber` (which of them are errors) and `comm` (messages);
//! `hw_sim`, `sim_lib` (the law of the results).
//!
//! # Messages of the program `gc`
//!
//! ```text
//! message  = length:u32 little-endian · byte          the length is 1
//! request  = 0 start | 1 stop
//! response = 0 done | 1 did nothing
//! ```

use crate::bb84::frame::click;

/// Why bytes are no raw data of a Kiwi.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unreadable {
    /// A bit is set that the format keeps at zero.
    #[error(
        "click {click}: an angle of {found:#x}; Alice's are below 8, Bob's below 4: the pipes are exchanged, or read from the middle of a byte"
    )]
    Angle {
        /// The click, from the first of the piece.
        click: usize,
        /// Its four bits.
        found: u8,
    },
    /// A result that is neither 0 nor 1.
    #[error("click {click}: a result of {found}, not 0 or 1: this is not the pipe of click results")]
    Result {
        /// The click, from the first of the piece.
        click: usize,
        /// The byte found.
        found: u8,
    },
    /// Results and angles of different numbers of clicks.
    #[error("{results} results and {angles} bytes of angles: two clicks a byte")]
    Lengths {
        /// Results.
        results: usize,
        /// Bytes of angles.
        angles: usize,
    },
    /// An answer that the program `gc` does not give.
    #[error("gc answers with {found:02x?}, not a message of five bytes: another version of it?")]
    Message {
        /// What it says.
        found: [u8; 5],
    },
}

/// Alice's settings as a frame has them, two clicks a byte (see [`Settings::Packed`](crate::bb84::frame::Settings)).
///
/// # Errors
/// [`Unreadable::Angle`].
pub fn settings(angles: &[u8]) -> Result<Vec<u8>, Unreadable> {
    let mut packed = Vec::with_capacity(angles.len());
    for (place, byte) in angles.iter().enumerate() {
        let setting = |half: usize| {
            let found = byte >> (4 * half) & 15;
            let turns = quarter_turns(found);
            let setting = turns >> 1 | (turns & 1) << 1 | (found & 4);
            if found < 8 { Ok(setting) } else { Err(Unreadable::Angle { click: 2 * place + half, found }) }
        };
        packed.push(setting(0)? | setting(1)? << 4);
    }
    Ok(packed)
}

/// Bob's click bytes as a frame has them, one a click (see [`click`]). Its detectors stand for bits: Bob's angle
/// decides which of them is which result.
///
/// # Errors
/// [`Unreadable`].
pub fn clicks(angles: &[u8], results: &[u8]) -> Result<Vec<u8>, Unreadable> {
    if results.len() != 2 * angles.len() {
        return Err(Unreadable::Lengths { results: results.len(), angles: angles.len() });
    }
    let mut clicks = Vec::with_capacity(results.len());
    for (click, result) in results.iter().enumerate() {
        let found = angles[click / 2] >> (4 * (click % 2)) & 15;
        if found > 3 {
            return Err(Unreadable::Angle { click, found });
        }
        if *result > 1 {
            return Err(Unreadable::Result { click, found: *result });
        }
        let turns = quarter_turns(found);
        let test = if turns & 1 == 0 { click::TEST_BASIS } else { 0 };
        let bit = result ^ 1 ^ turns >> 1;
        clicks.push(test | if bit == 1 { click::DETECTOR_1 } else { click::DETECTOR_0 });
    }
    Ok(clicks)
}

/// Quarter turns of an angle index: Gray code.
fn quarter_turns(index: u8) -> u8 {
    let index = index & 3;
    index ^ index >> 1
}

/// What is asked of the program `gc` on Alice's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Count pulses from the next second on, and let clicks through.
    Start,
    /// Let no more through.
    Stop,
}

impl Request {
    /// The message.
    #[must_use]
    pub fn bytes(self) -> [u8; 5] {
        [1, 0, 0, 0, u8::from(self == Self::Stop)]
    }
}

/// Whether `gc` did what it was asked.
///
/// # Errors
/// [`Unreadable::Message`] where this is no answer.
pub fn is_done(response: [u8; 5]) -> Result<bool, Unreadable> {
    match response {
        [1, 0, 0, 0, 0] => Ok(true),
        [1, 0, 0, 0, 1] => Ok(false),
        found => Err(Unreadable::Message { found }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What their program `qber` counts as an error: Alice's and Bob's angle index and the result.
    const ERRORS: [(u8, u8, u8); 4] = [(1, 0, 0), (2, 0, 1), (0, 1, 0), (0, 2, 1)];

    /// Basis and bit of both sides.
    fn read(alice: u8, bob: u8, result: u8) -> [(bool, bool); 2] {
        let setting = settings(&[alice]).expect("an angle")[0];
        let click = clicks(&[bob], &[result, 0]).expect("an angle")[0];
        let bob = (click & click::TEST_BASIS > 0, click & click::DETECTOR_1 > 0);
        [(setting & 2 > 0, setting & 1 > 0), bob]
    }

    #[test]
    fn what_their_program_counts_as_an_error_is_one() {
        for (alice, bob, result) in ERRORS {
            let [sent, found] = read(alice, bob, result);
            assert_eq!(sent.0, found.0, "{alice}, {bob}: the same basis");
            assert_ne!(sent.1, found.1, "{alice}, {bob}, {result}: an error");
            let [sent, found] = read(alice, bob, 1 - result);
            assert_eq!(sent, found, "{alice}, {bob}: the other result is none");
        }
    }

    #[test]
    fn bits_follow_the_law_of_the_interferometer() {
        // Gray code: the index of 0, 1, 2, 3 quarter turns.
        let index = [0, 1, 3, 2];
        for (a, b) in (0..4_u8).flat_map(|a| (0..4).map(move |b| (a, b))) {
            let result = (a + b).div_ceil(2) % 2;
            let [sent, found] = read(index[usize::from(a)], index[usize::from(b)], result);
            assert_eq!(sent.0 == found.0, (a + b) % 2 == 1, "{a}, {b}: the result is certain in one basis");
            assert!(sent.0 != found.0 || sent.1 == found.1, "{a}, {b}: and tells the bit");
        }
        let both: u8 = (0..4)
            .map(|index| settings(&[index]).expect("an angle")[0] & 3)
            .fold(0, |all, own| all | 1 << own);
        assert_eq!(both, 15, "both bits in both bases");
    }

    #[test]
    fn the_earlier_click_stands_low_and_the_weak_one_is_told() {
        // Index 3: half a turn, bit 1 of the key basis. Index 1 and weak: a quarter, bit 0 of the test basis.
        assert_eq!(settings(&[0x53]), Ok(vec![0x61]), "signal, then decoy");
        let expected = vec![click::DETECTOR_0 | click::TEST_BASIS, click::DETECTOR_1];
        assert_eq!(clicks(&[0x10], &[1, 0]), Ok(expected), "one result a click");
    }

    #[test]
    fn what_is_no_raw_data_is_refused() {
        assert_eq!(settings(&[0x00, 0x80]), Err(Unreadable::Angle { click: 3, found: 8 }), "reserved");
        assert_eq!(clicks(&[0x04], &[0, 0]), Err(Unreadable::Angle { click: 0, found: 4 }), "Alice's");
        assert_eq!(
            clicks(&[0x00], &[0, 2]),
            Err(Unreadable::Result { click: 1, found: 2 }),
            "a third result"
        );
        assert_eq!(clicks(&[0], &[0]), Err(Unreadable::Lengths { results: 1, angles: 1 }), "one is missing");
        assert_eq!(
            [Request::Start, Request::Stop].map(Request::bytes),
            [[1, 0, 0, 0, 0], [1, 0, 0, 0, 1]],
            "asked"
        );
        assert_eq!((is_done([1, 0, 0, 0, 0]), is_done([1, 0, 0, 0, 1])), (Ok(true), Ok(false)), "answered");
        assert!(is_done([1, 0, 0, 0, 2]).is_err() && is_done([2, 0, 0, 0, 0]).is_err(), "something else");
    }
}
