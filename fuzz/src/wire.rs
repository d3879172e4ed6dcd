//! The reader on any bytes: refused, or written as they were read.

use keystill::wire::{Malformed, Reader, Writer};

/// What is read, in order, and from what.
pub(crate) type Input = (Vec<u8>, Vec<u8>);

pub(crate) fn run((kinds, bytes): Input) {
    let (mut reader, mut writer) = (Reader::new(&bytes), Writer::new());
    for kind in kinds {
        let before = reader.remaining();
        if copy(kind, &mut reader, &mut writer).is_err() {
            return;
        }
        assert!(reader.remaining() <= before, "it goes forward");
        let read = bytes.len() - reader.remaining();
        let mut again = Writer::new();
        std::mem::swap(&mut again, &mut writer);
        let written = again.finish();
        assert_eq!(written, bytes[..read], "one spelling");
        writer.bytes(&written);
    }
}

fn copy(kind: u8, reader: &mut Reader<'_>, writer: &mut Writer) -> Result<(), Malformed> {
    match kind % 7 {
        0 => writer.u8(reader.u8()?),
        1 => writer.u32(reader.u32()?),
        2 => writer.u64(reader.u64()?),
        3 => writer.u128(reader.u128()?),
        4 => writer.varint(reader.varint()?),
        5 => writer.f64(reader.f64("number")?),
        _ => writer.bits(&reader.bits(1 << 12, "bits")?),
    };
    Ok(())
}
