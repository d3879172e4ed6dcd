#!/usr/bin/env python3
"""Files as NumPy writes them, distilled: quadratures as .npy and CSV, sifted bits as .npy, packed, and as CSV.

    python3 examples/recorded/numpy_files.py [PATH OF keystill]

It simulates a short link, writes both sides in every form that is read, and checks that every form comes to the same.
"""

import json
import os
import subprocess
import sys
import tempfile

import numpy as np

KEYSTILL = os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else "keystill"
CALIBRATION = ["--shot-noise", "1", "--electronic-noise", "0.1", "--efficiency", "0.6", "--modulation-variance", "4",
               "--calibration-samples", "1000000000"]


def distil(protocol, alice, bob, *options):
    """The last line that it prints, as an object."""
    command = [KEYSTILL, "distill", protocol, "--alice", alice, "--bob", bob, "--json", *options]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def quadratures(random, symbols):
    """Alice's and Bob's x and p: transmittance 0.9, no excess noise."""
    alice = random.normal(0, 2, (symbols, 2))
    gain = np.sqrt(0.6 * 0.9 / 2)
    return alice, gain * alice + random.normal(0, np.sqrt(1.1), (symbols, 2))


def as_complex(values):
    return values[:, 0] + 1j * values[:, 1]


FORMS = {
    "f4.npy": lambda name, values: np.save(name, values.astype("<f4")),
    "f8-big-endian.npy": lambda name, values: np.save(name, values.astype(">f8")),
    "f4-flat.npy": lambda name, values: np.save(name, values.astype("f4").ravel()),
    "c8.npy": lambda name, values: np.save(name, as_complex(values).astype("c8")),
    "c16.npy": lambda name, values: np.save(name, as_complex(values)),
    "plain.csv": lambda name, values: np.savetxt(name, values, delimiter=","),
    "named.csv": lambda name, values: np.savetxt(name, values, fmt="%.7g", delimiter=";", header="x;p", comments=""),
    "tabs.tsv": lambda name, values: np.savetxt(name, values, fmt="%.7e", delimiter="\t", header="made by NumPy"),
}


def main():
    random = np.random.default_rng(11)
    alice, bob = quadratures(random, 200_000)
    for form, write in FORMS.items():
        write("alice-" + form, alice)
        write("bob-" + form, bob)
        line = distil("cv", "alice-" + form, "bob-" + form, *CALIBRATION)
        assert line["equal"] and line["symbols"] == 200_000, line
        assert abs(line["transmittance"] - 0.9) < 0.02, line
        print(f"{form}: T = {line['transmittance']:.4f}, {line['kept_bits']} bits equal")
    bits = random.integers(0, 2, 100_003).astype("u1")
    noisy = bits ^ (random.random(bits.size) < 0.02)
    errors = int((bits ^ noisy).sum())
    for side, values in (("alice", bits), ("bob", noisy)):
        np.save(side + ".npy", values)
        np.packbits(values, bitorder="little").tofile(side + ".bin")
        np.savetxt(side + ".csv", np.column_stack((np.arange(values.size), values)), fmt="%d", delimiter=",",
                   header="pulse,bit", comments="")
    for name, options in (("bin", ["--bits", str(bits.size)]), ("npy", []), ("csv", ["--column", "bit"])):
        line = distil("bb84", "alice." + name, "bob." + name, "--out", name, *options)
        assert (line["equal"], line["bits"], line["errors"]) == (True, bits.size, errors), line
        kept = np.unpackbits(np.fromfile(name + "/bob.bits", "u1"), bitorder="little")[: bits.size]
        assert (kept == bits).all(), "Bob's bits are Alice's now"
        print(f"{name}: {errors} errors of {bits.size} bits corrected")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        main()
