"""How much data power the quantum channels bear: QBER and excess noise against launch power."""

import keystill

print(f"{'dBm':>5} {'QBER %':>8} {'ξ, SNU':>8} {'from':>12}")
for power_dbm in range(5, 24, 3):
    budget = keystill.link_budget(overrides=[f"data.launch_power_dbm={power_dbm}"])
    mechanism, carrier_thz, share = max(budget["cv"]["contributions"], key=lambda own: own[2])
    print(
        f"{power_dbm:5} {100 * budget['bb84']['qber']:8.2f} {budget['cv']['excess_noise_input_snu']:8.4f}"
        f" {carrier_thz:8.2f} THz"
    )

low, high = (keystill.link_budget(overrides=[f"data.launch_power_dbm={p}"])["bb84"]["qber"] for p in (5.0, 23.0))
assert low < high, "more light, more errors"
