#!/usr/bin/env python3
"""keystill beside what others publish, on this machine and on the same data: a table in Markdown.

Makes a virtual environment in a folder of its own, installs the peers there from PyPI, runs them and keystill on one
thread, and checks that results are equal where both define them alike. Nothing of theirs comes into this repository.

    cargo build --release && python3 benches/peers.py [--folder DIR] [--keystill FILE] [--quick]

cryptomite may be used for non-commercial purposes only, by its licence; randextract, ldpc and qkdpy are free software.
"""

import argparse
import datetime
import json
import os
import subprocess
import sys
import tempfile
import time

PEERS = ["cryptomite==0.3.0", "randextract==0.2.2", "ldpc==2.4.1", "qkdpy==0.8.0", "numpy", "scipy"]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", help="where the virtual environment is kept; a temporary one by default")
    parser.add_argument("--keystill", default="target/release/keystill", help="the program to compare")
    parser.add_argument("--quick", action="store_true", help="small sizes: whether it runs, not how fast")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def outside(args):
    """Makes the environment and runs this file again in it."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = os.path.join(args.folder or temporary, "peers")
        python = os.path.join(folder, "bin", "python")
        if not os.path.exists(python):
            subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *PEERS], check=True)
        again = [python, __file__, "--inside", "--keystill", os.path.abspath(args.keystill)]
        # One thread each: what a core does.
        one = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")}
        run = subprocess.run(again + ["--quick"] * args.quick, env={**os.environ, **one})
    return run.returncode


def best_of(runs, call):
    """The shortest time of some runs, and what the last returned."""
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        result = call()
        times.append(time.perf_counter() - began)
    return min(times), result


def keystill(args, *words):
    """The last line that a command prints as JSON."""
    done = subprocess.run([args.keystill, *words, "--json"], check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def toeplitz(args, n):
    """The same Toeplitz matrix by everybody: T[i][j] = seed[(i - j) mod (n + m - 1)]."""
    import cryptomite
    import numpy as np
    from galois import GF2
    from randextract import ToeplitzHashing

    m = n * 2 // 5
    rng = np.random.default_rng(n)
    x, seed = (rng.integers(0, 2, bits, dtype=np.uint8) for bits in (n, n + m - 1))
    with tempfile.TemporaryDirectory() as folder:
        files = {name: os.path.join(folder, name) for name in ("x", "seed", "key")}
        for name, bits in (("x", x), ("seed", seed)):
            np.packbits(bits, bitorder="little").tofile(files[name])
        command = [args.keystill, "amplify", "--input", files["x"], "--input-bits", str(n), "--seed", files["seed"]]
        command += ["--bits", str(m), "--output", files["key"]]
        from_files, _ = best_of(3, lambda: subprocess.run(command, check=True, capture_output=True))
        ours = np.unpackbits(np.fromfile(files["key"], dtype=np.uint8), bitorder="little")[:m]
    bench = ["bench", "amplify", "--n", str(n), "--matrix", "plain", "--seed", "fresh", "--threads", "1"]
    alone = n / (1e6 * keystill(args, *bench)["input_mbit_per_s"])
    rows = [("keystill, in memory", alone, "the reference"), ("keystill, files and start included", from_files, "")]

    lists = x.tolist(), seed.tolist()
    extractor = cryptomite.toeplitz.Toeplitz(n, m)
    seconds, theirs = best_of(1 if n > 2e6 else 3, lambda: extractor.extract(*lists))
    assert np.array_equal(ours, np.array(theirs, dtype=np.uint8)), "cryptomite hashes otherwise"
    rows.append(("cryptomite 0.3.0, `Toeplitz.extract`", seconds, "equal"))

    hashing = ToeplitzHashing(input_length=n, output_length=m)
    fields = GF2(x), GF2(seed)
    seconds, theirs = best_of(1 if n > 2e6 else 3, lambda: hashing.extract(*fields))
    same = np.array_equal(ours, np.asarray(theirs, dtype=np.uint8))
    # It rounds a floating-point transform: right up to some length only.
    rows.append(("randextract 0.2.2, `ToeplitzHashing.extract`", seconds, "equal" if same else "NOT equal"))
    return [(f"Toeplitz, {n:.0e} to {m:.0e} bits".replace("e+0", "e"), who, n / seconds / 1e6, note) for who, seconds, note in rows]


def regular_code(n, column, row, rng):
    """A random parity-check matrix, regular but for edges that would be double."""
    import numpy as np
    import scipy.sparse as sparse

    checks = np.repeat(np.arange(n * column // row), row)
    rng.shuffle(checks)
    edges = checks, np.repeat(np.arange(n), column)
    shape = n * column // row, n
    matrix = sparse.coo_matrix((np.ones(n * column, dtype=np.uint8), edges), shape=shape).tocsr()
    # Two edges between the same two nodes cancel: the few there are are left out.
    matrix.data = (matrix.data == 1).astype(np.uint8)
    matrix.eliminate_zeros()
    return matrix


def entropy(q):
    from math import log2

    return -q * log2(q) - (1 - q) * log2(1 - q)


def ldpc(args, n, qber=0.03):
    """A code of each one's own, as strong as it needs to be: speed belongs to the efficiency beside it."""
    import numpy as np
    from ldpc import BpDecoder

    frames = "2" if args.quick else "20"
    own = keystill(args, "bench", "ldpc", "--qber", str(qber), "--frames", frames, "--threads", "1")
    rows = [("keystill", own["mbit_per_s"], f"f = {own['efficiency']:.3f}, n = {own['n_bits']}, {own['fer']:.0%} of {frames} failed")]
    rng = np.random.default_rng(1)
    code = regular_code(n, 3, 9, rng)
    f = code.shape[0] / n / entropy(qber)
    decoder = BpDecoder(code, error_rate=qber, max_iter=50, bp_method="product_sum", input_vector_type="syndrome")
    failed, seconds, tries = 0, 0.0, 3
    for _ in range(tries):
        errors = (rng.random(n) < qber).astype(np.uint8)
        syndrome = (code @ errors % 2).astype(np.uint8)
        took, found = best_of(1, lambda: decoder.decode(syndrome))
        seconds, failed = seconds + took, failed + (not np.array_equal(found, errors))
    note = f"f = {f:.3f}, a (3, 9)-regular code, n = {n}, {failed} of {tries} failed"
    rows.append(("ldpc 2.4.1, `BpDecoder`", tries * n / seconds / 1e6, note))
    return [(f"LDPC, QBER {qber:.0%}", who, rate, note) for who, rate, note in rows]


def cascade(args, n, qber=0.03):
    import numpy as np
    from qkdpy.key_management.error_correction import ErrorCorrection

    frames = "2" if args.quick else "20"
    own = keystill(args, "bench", "cascade", "--qber", str(qber), "--frames", frames, "--threads", "1")
    rows = [("keystill", own["mbit_per_s"], f"f = {own['efficiency']:.3f}, n = {own['n_bits']}, {own['fer']:.0%} of {frames} failed")]
    rng = np.random.default_rng(2)
    alice = rng.integers(0, 2, n)
    bob = alice ^ (rng.random(n) < qber)
    seconds, (one, other) = best_of(1, lambda: ErrorCorrection.cascade(alice.tolist(), bob.tolist()))
    left = int(np.count_nonzero(np.array(one) != np.array(other)))
    told = "does not tell what it discloses"
    rows.append(("qkdpy 0.8.0, `ErrorCorrection.cascade`", n / seconds / 1e6, f"{left} errors left in n = {n}; {told}"))
    return [(f"Cascade, QBER {qber:.0%}", who, rate, note) for who, rate, note in rows]


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        return next((line.split(":")[1].strip() for line in file if line.startswith("model name")), "unknown")


def inside(args):
    rows = toeplitz(args, 100_000 if args.quick else 1_000_000)
    rows += [] if args.quick else toeplitz(args, 10_000_000)
    rows += ldpc(args, 9_000 if args.quick else 90_000)
    rows += cascade(args, 2_000 if args.quick else 100_000)
    print(f"{processor()}, one thread each, {datetime.date.today()}\n")
    print("| what | by | Mbit/s | |\n|---|---|---|---|")
    for what, who, rate, note in rows:
        shown = f"{rate:.0f}" if rate >= 100 else f"{rate:.3g}"
        print(f"| {what} | {who} | {shown} | {note} |")
    return 0


if __name__ == "__main__":
    parsed = arguments()
    sys.exit(inside(parsed) if parsed.inside else outside(parsed))
