"""What a finite block costs: secret key a sifted bit against the length of the block."""

import keystill

share = dict(key=[31.0, 2.2, 0.026], test=[0.63, 0.045, 0.00053], test_errors=[0.024, 0.002, 0.00025])
setting = dict(
    mean_photons=[0.5, 0.2, 0.001], probabilities=[0.81, 0.14, 0.05], epsilon=1e-10, test_basis=(0.125, 0.125)
)
last = 0.0
for million_gates in (10, 30, 100, 300, 1000, 10_000, 100_000):
    counts = [[int(1e3 * million_gates * rate) for rate in share[name]] for name in share]
    sifted = sum(counts[0])
    try:
        terms = keystill.bb84_key_length(*counts, disclosed_bits=int(0.26 * sifted), **setting)
        rate = terms["bits"] / sifted
        print(f"{sifted:12} sifted bits: {rate:.4f} of them secret, phase errors ≤ {terms['phase_error_rate']:.4f}")
        assert rate > last, "a longer block pays"
        last = rate
    except keystill.NoKey as error:
        print(f"{sifted:12} sifted bits: none ({error})")

try:
    keystill.bb84_key_length([1, 1, 1], [1, 1, 1], [2, 2, 2], disclosed_bits=0, **setting)
except ValueError as error:
    print("more errors than bits:", error)
else:
    raise AssertionError("impossible counts are refused")
