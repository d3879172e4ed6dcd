//! Blocks of bits against lists of bools.

use keystill::bits::BitBlock;

/// Two lists, and where to cut.
pub(crate) type Input = (Vec<bool>, Vec<bool>, u16, u16);

pub(crate) fn run((mut list, more, from, to): Input) {
    let mut bits = BitBlock::from_bools(&list);
    bits.append(&BitBlock::from_bools(&more));
    list.extend(&more);
    assert_eq!(bits, BitBlock::from_bools(&list), "appended");
    let (from, to) = (usize::from(from) % (list.len() + 1), usize::from(to) % (list.len() + 1));
    let (from, to) = (from.min(to), from.max(to));
    assert_eq!(bits.slice(from..to), BitBlock::from_bools(&list[from..to]), "cut");
    assert_eq!(BitBlock::from_bytes(&bits.to_bytes(), bits.len()), bits, "packed and back");
    assert_eq!(bits.count_ones(), list.iter().filter(|bit| **bit).count() as u64, "counted");
}
