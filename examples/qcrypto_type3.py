#!/usr/bin/env python3
"""S-Fifteen qcrypto: sifted key in type-3 files, joined and packed as `keystill distill bb84` reads it.

    python3 qcrypto_type3.py alice.bits alice/t3/*     # and the same epochs of Bob
    keystill distill bb84 --alice alice.bits --bob bob.bits --bits N

A file is a header of four little-endian 32-bit integers (tag 3 or 0x103, epoch, entries, bits an entry), then
entries of that many bits, highest bit first in little-endian 32-bit words, the last word filled with zeros. One bit
an entry is sifted key; other files (service mode) are refused. Files are taken by their epoch, and an epoch that is
missing or comes twice is refused: both sides must join the same ones.
"""

import struct
import sys

HEADER = struct.Struct("<IIII")
TAGS = (3, 0x103)
MOST_ENTRIES = 1 << 28


def read(path):
    """Epoch and bits of a file."""
    with open(path, "rb") as file:
        data = file.read()
    if len(data) < HEADER.size:
        raise ValueError(f"{path}: {len(data)} bytes are too few for a header of {HEADER.size}")
    tag, epoch, entries, width = HEADER.unpack_from(data)
    if tag not in TAGS:
        raise ValueError(f"{path}: tag {tag} is no type-3 file")
    if width != 1:
        raise ValueError(f"{path}: {width} bits an entry: sifted key has one; this is another kind of record")
    words = -(-entries // 32)
    if entries > MOST_ENTRIES or len(data) != HEADER.size + 4 * words:
        raise ValueError(f"{path}: {entries} entries do not fit {len(data)} bytes: the file was cut")
    bits = [word >> place & 1 for (word,) in struct.iter_unpack("<I", data[HEADER.size :]) for place in range(31, -1, -1)]
    if any(bits[entries:]):
        raise ValueError(f"{path}: bits follow the last entry")
    return epoch, bits[:entries]


def joined(paths):
    """The bits of all files in the order of their epochs."""
    files = sorted(read(path) for path in paths)
    epochs = [epoch for epoch, _ in files]
    for before, after in zip(epochs, epochs[1:]):
        if after != before + 1:
            raise ValueError(f"epoch {after:08x} follows {before:08x}: one is missing or comes twice")
    return [bit for _, bits in files for bit in bits]


def packed(bits):
    """Bits packed lowest bit first."""
    padded = bits + [0] * (-len(bits) % 8)
    return bytes(sum(bit << place for place, bit in enumerate(padded[i : i + 8])) for i in range(0, len(padded), 8))


def check():
    """What goes in comes out, and what is wrong is refused."""
    import os
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "af000001")
        with open(path, "wb") as file:
            file.write(HEADER.pack(3, 0xAF000001, 34, 1) + struct.pack("<II", 0x80000001, 0x40000000))
        epoch, bits = read(path)
        assert (epoch, bits) == (0xAF000001, [1] + [0] * 30 + [1, 0, 1]), bits
        assert packed(bits) == bytes([1, 0, 0, 0x80, 2]), packed(bits)
        for wrong in (HEADER.pack(2, 1, 0, 1), HEADER.pack(3, 1, 33, 1) + bytes(4), HEADER.pack(3, 1, 1, 8) + bytes(4), b""):
            with open(path, "wb") as file:
                file.write(wrong)
            try:
                read(path)
            except ValueError:
                continue
            raise AssertionError(f"{wrong!r} was taken")
    print("ok")


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        check()
    elif len(sys.argv) < 3:
        sys.exit(__doc__)
    else:
        key = joined(sys.argv[2:])
        with open(sys.argv[1], "wb") as out:
            out.write(packed(key))
        print(len(key), "bits")
