//! Sifted key of S-Fifteen's qcrypto: type-3 packets.
//!
//! ```text
//! packet  = tag:u32 · epoch:u32 · entries:u32 · bits an entry:u32 · word:u32 · …    all little-endian
//! tag     = 3 (epoch by the time tagger) | 0x103 (epoch by Unix time)
//! ```
//!
//! Entries fill words from the highest bit down; the bits that the last word has too many are zero. An epoch is 2²⁹ ns.
//! A file holds one packet and is named by its epoch in eight hexadecimal digits, or packets follow each other in
//! one stream. Source: `remotecrypto/filespec.txt` of github.com/s-fifteen-instruments/qcrypto, section 3, as its `chopper`,
//! `costream` and `splicer` write it.
//!
//! Sifted key has one bit an entry (protocol 1). Files of the service mode have more and are refused: they tell
//! detectors, and were told to the other side. The format lets the number of entries be left out; its own text
//! calls that a security hole, and here a packet without entries has no bits.

use crate::bits::BitBlock;

use super::MOST_BITS;

/// Bytes of a header.
const HEADER_BYTES: usize = 16;

/// Why bytes are no sifted key of qcrypto's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unreadable {
    /// Too few bytes for a header.
    #[error(
        "at byte {place}: {found} bytes are too few for a header of {HEADER_BYTES}: the file was cut, or is of another kind"
    )]
    NoHeader {
        /// Where it should begin.
        place: usize,
        /// Bytes found.
        found: usize,
    },
    /// Another kind of packet.
    #[error(
        "at byte {place}: tag {tag:#x} is no type-3 packet (3 or 0x103); sifted key is what costream -f and splicer -f write"
    )]
    Tag {
        /// Where it stands.
        place: usize,
        /// The tag found.
        tag: u32,
    },
    /// More than a bit an entry, or none.
    #[error(
        "epoch {epoch:08x}: {width} bits an entry; sifted key has one: run qcrypto with protocol 1, not the service mode"
    )]
    Width {
        /// The packet's epoch.
        epoch: u32,
        /// Bits an entry.
        width: u32,
    },
    /// Fewer bytes than the entries take.
    #[error(
        "epoch {epoch:08x}: {entries} entries take {expected} bytes, {found} are there: the file was cut"
    )]
    Cut {
        /// The packet's epoch.
        epoch: u32,
        /// Entries that its header promises.
        entries: u32,
        /// Bytes that they take.
        expected: usize,
        /// Bytes found.
        found: usize,
    },
    /// Bits beyond the last entry.
    #[error(
        "epoch {epoch:08x}: bits follow the last of {entries} entries: the number of entries or the file is damaged"
    )]
    Filling {
        /// The packet's epoch.
        epoch: u32,
        /// Entries that its header promises.
        entries: u32,
    },
    /// An epoch twice.
    #[error("epoch {epoch:08x} comes twice: give each once")]
    Twice {
        /// The epoch.
        epoch: u32,
    },
    /// More bits than are read at once.
    #[error("epoch {epoch:08x} is beyond the {MOST_BITS} bits that are read at once: give fewer epochs")]
    TooMany {
        /// The epoch.
        epoch: u32,
    },
    /// The two sides have not the same epochs.
    #[error("epoch {epoch:08x} is missing on one side: take away what the other side does not have")]
    OneSided {
        /// The first such epoch.
        epoch: u32,
    },
    /// The two sides do not have equally many bits.
    #[error("epoch {epoch:08x} has {} entries on one side, {} on the other: give sifted key of both sides", .entries[0], .entries[1])]
    Unequal {
        /// The first such epoch.
        epoch: u32,
        /// Entries of either side.
        entries: [u32; 2],
    },
}

/// One side's sifted key, epoch by epoch.
#[derive(Debug, Default)]
pub struct Sifted {
    epochs: std::collections::BTreeMap<u32, BitBlock>,
    bits: u64,
}

impl Sifted {
    /// Takes the packets of a file or stream.
    ///
    /// # Errors
    /// [`Unreadable`]; nothing of what was read before the fault should be used then.
    pub fn take(&mut self, bytes: &[u8]) -> Result<(), Unreadable> {
        let mut place = 0;
        while place < bytes.len() {
            place = self.packet(bytes, place)?;
        }
        if bytes.is_empty() { Err(Unreadable::NoHeader { place, found: 0 }) } else { Ok(()) }
    }

    /// Epochs and their entries, in order.
    pub fn epochs(&self) -> impl Iterator<Item = (u32, usize)> {
        self.epochs.iter().map(|(epoch, bits)| (*epoch, bits.len()))
    }

    /// Whether the other side has the same epochs with as many bits.
    ///
    /// # Errors
    /// [`Unreadable::OneSided`], [`Unreadable::Unequal`] with the first epoch that differs.
    pub fn fits(&self, other: &Self) -> Result<(), Unreadable> {
        let missing =
            |one: &Self, two: &Self| one.epochs.keys().find(|epoch| !two.epochs.contains_key(epoch)).copied();
        let one_sided = [missing(self, other), missing(other, self)].into_iter().flatten().min();
        if let Some(epoch) = one_sided {
            return Err(Unreadable::OneSided { epoch });
        }
        for ((epoch, own), (_, other)) in self.epochs().zip(other.epochs()) {
            if own != other {
                #[expect(clippy::cast_possible_truncation, reason = "a header's number of entries")]
                return Err(Unreadable::Unequal { epoch, entries: [own as u32, other as u32] });
            }
        }
        Ok(())
    }

    /// All bits in the order of their epochs.
    #[must_use]
    pub fn bits(&self) -> BitBlock {
        let mut all = BitBlock::default();
        self.epochs.values().for_each(|bits| all.append(bits));
        all
    }

    /// Takes the packet that begins at `place`; returns where the next begins.
    fn packet(&mut self, bytes: &[u8], place: usize) -> Result<usize, Unreadable> {
        let found = bytes.len() - place;
        let Some((header, rest)) = bytes[place..].split_first_chunk::<HEADER_BYTES>() else {
            return Err(Unreadable::NoHeader { place, found });
        };
        let [tag, epoch, entries, width] = numbers(header);
        if !matches!(tag, 3 | 0x103) {
            return Err(Unreadable::Tag { place, tag });
        }
        if width != 1 {
            return Err(Unreadable::Width { epoch, width });
        }
        self.bits += u64::from(entries);
        if self.bits > MOST_BITS {
            return Err(Unreadable::TooMany { epoch });
        }
        let expected = 4 * entries.div_ceil(32) as usize;
        let Some(words) = rest.get(..expected) else {
            return Err(Unreadable::Cut { epoch, entries, expected, found: rest.len() });
        };
        let block = unpack(words, entries).ok_or(Unreadable::Filling { epoch, entries })?;
        if self.epochs.insert(epoch, block).is_some() {
            return Err(Unreadable::Twice { epoch });
        }
        Ok(place + HEADER_BYTES + expected)
    }
}

/// The epoch of the first packet, if the bytes begin with one of sifted key.
#[must_use]
pub fn first_epoch(bytes: &[u8]) -> Option<u32> {
    let [tag, epoch, _, width] = numbers(bytes.first_chunk()?);
    (matches!(tag, 3 | 0x103) && width == 1).then_some(epoch)
}

fn numbers(header: &[u8; HEADER_BYTES]) -> [u32; 4] {
    let words = header.as_chunks::<4>().0;
    std::array::from_fn(|place| u32::from_le_bytes(words[place]))
}

/// The bits of words filled from the highest bit down; `None` where bits follow the last.
fn unpack(words: &[u8], entries: u32) -> Option<BitBlock> {
    let mut bits = BitBlock::zeros(0);
    let mut left = entries;
    for word in words.as_chunks::<4>().0 {
        let word = u32::from_le_bytes(*word).reverse_bits();
        let count = left.min(32);
        if count < 32 && word >> count != 0 {
            return None;
        }
        bits.push_bits(u64::from(word), count as usize);
        left -= count;
    }
    Some(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(tag: u32, epoch: u32, entries: u32, width: u32, words: &[u32]) -> Vec<u8> {
        [tag, epoch, entries, width].iter().chain(words).flat_map(|word| word.to_le_bytes()).collect()
    }

    fn read(bytes: &[u8]) -> Result<Sifted, Unreadable> {
        let mut sifted = Sifted::default();
        sifted.take(bytes).map(|()| sifted)
    }

    #[test]
    fn bits_stand_highest_first_and_epochs_in_order() {
        let mut stream = packet(0x103, 0xaf00_0001, 34, 1, &[0x8000_0001, 0x4000_0000]);
        stream.extend(packet(0x103, 0xaf00_0000, 2, 1, &[0x8000_0000]));
        stream.extend(packet(3, 0xaf00_0002, 0, 1, &[]));
        let sifted = read(&stream).expect("three packets");
        let epochs: Vec<_> = sifted.epochs().collect();
        assert_eq!(epochs, [(0xaf00_0000, 2), (0xaf00_0001, 34), (0xaf00_0002, 0)], "in order");
        let mut expected = vec![true, false, true];
        expected.extend([false; 30]);
        expected.extend([true, false, true]);
        assert_eq!(sifted.bits(), BitBlock::from_bools(&expected), "epoch by epoch");
        assert_eq!(first_epoch(&stream), Some(0xaf00_0001), "by the header");
        assert_eq!(first_epoch(&stream[1..]), None, "no header");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let whole = packet(3, 7, 33, 1, &[5, 0x8000_0000]);
        assert!(read(&whole).is_ok(), "a whole packet");
        for cut in 0..whole.len() {
            let error = read(&whole[..cut]).expect_err("cut");
            let expected = matches!(error, Unreadable::NoHeader { .. } | Unreadable::Cut { .. });
            assert!(expected, "{cut} bytes: {error}");
        }
        let error = |bytes: &[u8]| read(bytes).expect_err("wrong");
        assert_eq!(error(&packet(2, 7, 1, 1, &[0])), Unreadable::Tag { place: 0, tag: 2 }, "type 2");
        assert_eq!(error(&packet(3, 7, 1, 8, &[0])), Unreadable::Width { epoch: 7, width: 8 }, "service");
        assert_eq!(error(&packet(3, 7, 1, 1, &[1])), Unreadable::Filling { epoch: 7, entries: 1 }, "filling");
        assert_eq!(error(&[&whole[..], &whole[..]].concat()), Unreadable::Twice { epoch: 7 }, "twice");
        let open = packet(3, 7, 0, 1, &[0x1234_5678]);
        assert!(matches!(error(&open), Unreadable::NoHeader { place: 16, found: 4 }), "no length, but bits");
    }

    #[test]
    fn both_sides_must_have_the_same_epochs() {
        let side = |epochs: &[(u32, u32)]| {
            let packets = epochs.iter().map(|(epoch, entries)| packet(3, *epoch, *entries, 1, &[0]));
            read(&packets.collect::<Vec<_>>().concat()).expect("packets")
        };
        let whole = side(&[(4, 9), (6, 8)]);
        assert_eq!(whole.fits(&side(&[(6, 8), (4, 9)])), Ok(()), "in any order, with gaps");
        assert_eq!(whole.fits(&side(&[(4, 9)])), Err(Unreadable::OneSided { epoch: 6 }), "one is missing");
        assert_eq!(side(&[(4, 9)]).fits(&whole), Err(Unreadable::OneSided { epoch: 6 }), "or there");
        let other = side(&[(4, 9), (6, 7)]);
        assert_eq!(
            whole.fits(&other),
            Err(Unreadable::Unequal { epoch: 6, entries: [8, 7] }),
            "another length"
        );
    }
}
