//! The readers of recorded quadratures and bits on any bytes: refused or read, no panic, no value that is not there.
//! Run: `cargo +nightly fuzz run recorded`.

use keystill::bb84::recorded::{csv, kiwi, npy, type3};
use keystill::columns::Column;
use keystill::cv::recorded::{Number, Recorded};

/// A header's text, and what stands behind it.
pub(crate) type Input = (String, Vec<u8>);

pub(crate) fn run(input: Input) {
    let (header, numbers) = input;
    bits(&header, &numbers);
    read(&Recorded::npy(&numbers));
    read(&Recorded::plain(&numbers, Number::F32));
    read(&Recorded::plain(&numbers, Number::F64));
    let Ok(length) = u16::try_from(header.len()) else { return };
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend(length.to_le_bytes());
    file.extend(header.as_bytes());
    file.extend(&numbers);
    read(&Recorded::npy(&file));
    if let Ok(bits) = npy(&file) {
        assert_eq!(bits.len(), numbers.len(), "a bit an element");
    }
}

fn read<E>(recorded: &Result<Recorded<'_>, E>) {
    let Ok(recorded) = recorded else { return };
    let all = recorded.quadratures();
    assert_eq!(all, 2 * recorded.symbols(), "two a symbol");
    assert_eq!(recorded.read(0..all).count(), all, "as many as said");
    assert_eq!(recorded.read(all / 2..all).count(), all - all / 2, "a part");
}

fn bits(text: &str, bytes: &[u8]) {
    for column in [None, Some(Column::from("1")), Some(Column::from("bit"))] {
        if let Ok(bits) = csv(text.as_bytes(), column.clone()) {
            assert!(2 * bits.len() <= text.len() + 1, "a digit and a separator each");
        }
        let _ = csv(bytes, column);
    }
    if let Ok(settings) = kiwi::settings(bytes) {
        assert!(settings.iter().all(|pair| pair & 0x88 == 0), "no third and fourth intensity");
    }
    let (angles, results) = bytes.split_at(bytes.len() / 3);
    if let Ok(clicks) = kiwi::clicks(angles, results) {
        assert!(clicks.iter().all(|click| (click >> 1).is_power_of_two()), "one detector each");
    }
    let mut sifted = type3::Sifted::default();
    if sifted.take(bytes).is_ok() {
        let entries: usize = sifted.epochs().map(|(_, entries)| entries).sum();
        assert_eq!(sifted.bits().len(), entries, "as many as the headers say");
        assert_eq!(sifted.fits(&sifted), Ok(()), "a side fits itself");
    }
}
