"""From two noisy strings to one key: corrected, verified, and as short as what was disclosed asks for."""

import numpy as np

import keystill

rng = np.random.default_rng(1)
bits, qber = 1 << 20, 0.03
alice = rng.integers(0, 2, bits, dtype=np.uint8)
bob = alice ^ (rng.random(bits) < qber).astype(np.uint8)

for method in ("ldpc", "cascade"):
    same, report = keystill.reconcile(alice, bob, qber=qber, method=method)
    share = report["disclosed_bits"] / bits
    print(f"{method:8} {report['errors']} errors, {share:.3f} bits told a bit, {report['frames_failed']} frames failed")
    if report["frames_failed"] == 0:
        assert np.array_equal(same, alice)


def key_bits(report):
    """As if phase errors were as frequent as bit errors: the proof of a real system is bb84_key_length."""
    q = report["qber"]
    entropy = -q * np.log2(q) - (1 - q) * np.log2(1 - q)
    return int(bits * (1 - entropy)) - report["disclosed_bits"] - 128


ours, theirs, report = keystill.distill(alice, bob, key_bits, qber=qber)
assert np.array_equal(ours, theirs)
print(f"key      {8 * len(ours)} bits, equal on both sides")

# The same hash by hand, on a piece small enough for a matrix: T[i][j] = seed[(i - j) mod (n + m - 1)] over GF(2).
n, m = 200, 50
seed = rng.integers(0, 2, keystill.seed_bits(n, m, matrix="plain"), dtype=np.uint8)
x = alice[:n]
matrix = np.array([[seed[(i - j) % (n + m - 1)] for j in range(n)] for i in range(m)])
pack = lambda a: np.packbits(a, bitorder="little")
fast = keystill.amplify(pack(x), pack(seed), m, input_bits=n, matrix="plain")
slow = matrix @ x % 2
convention = np.array_equal(np.unpackbits(fast, bitorder="little")[:m], slow)
print(f"Toeplitz the dense matrix gives {'the same' if convention else 'OTHER'} bits")
assert convention
