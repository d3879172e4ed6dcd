//! One fibre under load: how the carriers' powers evolve, and what a weak channel beside them meets.
//!
//! dP_i/dz = P_i·(−α_i + Σ_j c_ij·P_j) for all carriers at once, in logarithms, by the classical Runge–Kutta method of
//! fourth order; z is counted from the carriers' own launch, and light that runs against them counts among the P_j.
//! Each of the two groups is solved in the other one's powers, by turns, until neither changes. A quantum channel has no power of its own: it gains exp(Σ_j c_qj·∫P_j dz), and what
//! scatters into it at z is carried to the receiver with the gain of the rest of the way.

use ndarray::{Array1, Array2, ArrayView1, Axis};

use super::fibre::{Fibre, SPEED_OF_LIGHT};

/// Which way light runs, seen from the quantum channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// The same way.
    Co,
    /// Against it.
    Counter,
}

impl Direction {
    /// The other way.
    #[must_use]
    pub fn opposite(self) -> Self {
        match self {
            Self::Co => Self::Counter,
            Self::Counter => Self::Co,
        }
    }

    /// The name in records.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Co => "co",
            Self::Counter => "counter",
        }
    }
}

/// Whether the carriers act on each other and on the quantum channel by stimulated scattering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stimulated {
    /// As in nature.
    On,
    /// Each wave is only attenuated.
    Off,
}

/// Power of some carriers along a fibre, from where they are launched.
#[derive(Clone, Debug)]
pub struct Evolution {
    fibre: Fibre,
    stimulated: Stimulated,
    carriers_thz: Vec<f64>,
    /// Distance between positions in km.
    step_km: f64,
    /// Power in W by position and carrier.
    power_w: Array2<f64>,
    /// ∫P dz from the launch in W·km, by position and carrier.
    energy_w_km: Array2<f64>,
    /// Light that runs against the carriers.
    opposing: Opposing,
}

/// Light that runs the other way, by position from the launch of the light that meets it.
#[derive(Clone, Debug)]
struct Opposing {
    thz: Vec<f64>,
    power_w: Array2<f64>,
    /// ∫P dz from that launch in W·km.
    energy_w_km: Array2<f64>,
}

impl Opposing {
    fn none(steps: usize) -> Self {
        let nothing = Array2::zeros((steps + 1, 0));
        Self { thz: Vec::new(), power_w: nothing.clone(), energy_w_km: nothing }
    }

    fn new(light: &Evolution) -> Self {
        let mut power_w = light.power_w.clone();
        power_w.invert_axis(Axis(0));
        let energy_w_km = integrate(&power_w, light.step_km);
        Self { thz: light.carriers_thz.clone(), power_w, energy_w_km }
    }

    /// The greatest difference of the logarithms of the powers, anywhere.
    fn furthest_from(&self, other: &Self) -> f64 {
        let pairs = self.power_w.iter().zip(&other.power_w);
        pairs.map(|(a, b)| libm::log(b / a).abs()).fold(0.0, f64::max)
    }

    /// A share of the way to other powers, in logarithms.
    fn towards(&self, other: &Self, share: f64, step_km: f64) -> Self {
        let mut power_w = self.power_w.clone();
        power_w.zip_mut_with(&other.power_w, |own, there| *own *= libm::pow(there / *own, share));
        let energy_w_km = integrate(&power_w, step_km);
        Self { thz: self.thz.clone(), power_w, energy_w_km }
    }

    /// Powers half a step behind a position: exact for exponentials.
    fn halfway(&self, step: usize) -> Array1<f64> {
        let ends = self.power_w.row(step).into_iter().zip(self.power_w.row(step + 1));
        ends.map(|(from, to)| libm::sqrt(from * to)).collect()
    }
}

/// Turns at most of the solution of light in both directions.
const TURNS: u32 = 200;
/// Change of a power's logarithm below which it is settled: 4e-9 dB.
const SETTLED: f64 = 1e-9;

/// Steps in which a fibre is cut: an even number, half a kilometre or less.
fn steps(length_km: f64) -> usize {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some hundreds")]
    let steps = (2 * (libm::ceil(length_km) as usize)).max(64);
    steps
}

/// A wavelength in nm of a frequency in THz, and the other way round.
#[must_use]
pub fn nm_of(thz: f64) -> f64 {
    SPEED_OF_LIGHT / thz * 1e-3
}

impl Evolution {
    /// Solves the propagation of carriers of given frequency in THz and launch power in W.
    ///
    /// Half a kilometre a step or less: at 30 dBm 1e-6 dB from the limit, and 1e-4 of what scatters. O(steps·carriers²).
    #[must_use]
    pub fn solve(fibre: &Fibre, carriers: &[(f64, f64)], length_km: f64, stimulated: Stimulated) -> Self {
        let steps = steps(length_km);
        Self::solve_in(fibre, carriers, length_km, stimulated, Opposing::none(steps))
    }

    /// Solves light that meets other light: the evolution of either, seen from its own launch.
    #[must_use]
    pub fn solve_both(
        fibre: &Fibre,
        [with, against]: [&[(f64, f64)]; 2],
        length_km: f64,
        stimulated: Stimulated,
    ) -> [Self; 2] {
        let meet = |carriers, opposing| Self::solve_in(fibre, carriers, length_km, stimulated, opposing);
        let mut one = Self::solve(fibre, with, length_km, stimulated);
        let mut other = meet(against, Opposing::new(&one));
        if stimulated == Stimulated::Off {
            return [one, other];
        }
        let mut opposing = Opposing::new(&other);
        let (mut share, mut last) = (1.0_f64, f64::INFINITY);
        for _ in 0..TURNS {
            one = meet(with, opposing.clone());
            other = meet(against, Opposing::new(&one));
            let target = Opposing::new(&other);
            let change = opposing.furthest_from(&target);
            if change < SETTLED {
                break;
            }
            // Strong light overshoots, from drained to undrained and back: it goes there in shorter steps.
            share = if change > last { 0.5 * share } else { share };
            last = change;
            opposing = opposing.towards(&target, share.min(1.0 / change), one.step_km);
        }
        [one, other]
    }

    fn solve_in(
        fibre: &Fibre,
        carriers: &[(f64, f64)],
        length_km: f64,
        stimulated: Stimulated,
        opposing: Opposing,
    ) -> Self {
        let steps = opposing.power_w.nrows() - 1;
        let carriers_thz: Vec<f64> = carriers.iter().map(|(thz, _)| *thz).collect();
        let rate = Rate::new(fibre, &carriers_thz, &opposing.thz, stimulated);
        let step_km = length_km / steps as f64;
        let mut logarithm = Array1::from_iter(carriers.iter().map(|(_, power)| libm::log(power.max(1e-60))));
        let mut power_w = Array2::zeros((steps + 1, carriers.len()));
        power_w.row_mut(0).assign(&logarithm.mapv(libm::exp));
        for step in 0..steps {
            logarithm = rate.advance(&logarithm, step_km, &opposing, step);
            power_w.row_mut(step + 1).assign(&logarithm.mapv(libm::exp));
        }
        let energy_w_km = integrate(&power_w, step_km);
        Self { fibre: fibre.clone(), stimulated, carriers_thz, step_km, power_w, energy_w_km, opposing }
    }

    /// The carriers in THz.
    #[must_use]
    pub fn carriers_thz(&self) -> &[f64] {
        &self.carriers_thz
    }

    /// Power at the far end in W, by carrier.
    #[must_use]
    pub fn output_w(&self) -> Vec<f64> {
        self.power_w.row(self.power_w.nrows() - 1).to_vec()
    }

    /// Power at the launch in W, by carrier.
    #[must_use]
    pub fn launch_w(&self) -> Vec<f64> {
        self.power_w.row(0).to_vec()
    }

    /// What each carrier gains from the others over the fibre, in dB; attenuation is apart.
    #[must_use]
    pub fn tilt_db(&self) -> Vec<f64> {
        let length = self.length_km();
        let ends = self.launch_w().into_iter().zip(self.output_w());
        ends.zip(&self.carriers_thz)
            .map(|((launch, output), thz)| {
                10.0 * libm::log10(output / launch) + self.fibre.attenuation_db_per_km(nm_of(*thz)) * length
            })
            .collect()
    }

    /// Gain of a weak channel in dB over the fibre, either way; negative: it is drained.
    #[must_use]
    pub fn gain_db(&self, quantum_thz: f64) -> f64 {
        let gain = self.gain_along(quantum_thz);
        gain.last().copied().unwrap_or(0.0) * 10.0 / std::f64::consts::LN_10
    }

    /// Spontaneous Raman scattering that reaches a channel's receiver, in W/Hz, both polarisations, by carrier.
    #[must_use]
    pub fn scattered_w_per_hz(&self, quantum_thz: f64, direction: Direction, kelvin: f64) -> Vec<f64> {
        let reaching = self.reaching_w_km(quantum_thz, direction);
        let carriers = self.carriers_thz.iter().zip(reaching);
        carriers
            .map(|(thz, energy)| self.fibre.raman_density_per_km_w(*thz, quantum_thz, kelvin) * energy)
            .collect()
    }

    /// ∫P(z)·T(z) dz in W·km by carrier, T carrying light of the quantum channel from z to its receiver.
    #[must_use]
    pub fn reaching_w_km(&self, quantum_thz: f64, direction: Direction) -> Vec<f64> {
        let transmittance = self.transmittance_along(quantum_thz, direction);
        let weights = simpson(self.power_w.nrows(), self.step_km);
        let weighted: Vec<f64> = transmittance.iter().zip(&weights).map(|(t, w)| t * w).collect();
        let column = |carrier| self.power_w.column(carrier);
        (0..self.carriers_thz.len())
            .map(|carrier| column(carrier).iter().zip(&weighted).map(|(power, weight)| power * weight).sum())
            .collect()
    }

    /// Share of a carrier's light that Rayleigh scattering brings back to its launch.
    #[must_use]
    pub fn backscattered_w(&self) -> Vec<f64> {
        let weights = simpson(self.power_w.nrows(), self.step_km);
        let one = |(carrier, thz): (usize, &f64)| {
            let powers = self.power_w.column(carrier);
            // What comes back meets the same gain and loss as on its way out.
            let round: f64 = powers.iter().zip(&weights).map(|(p, w)| p * p * w).sum::<f64>() / powers[0];
            self.fibre.backscatter_per_km(nm_of(*thz)) * round
        };
        self.carriers_thz.iter().enumerate().map(one).collect()
    }

    fn length_km(&self) -> f64 {
        self.step_km * (self.power_w.nrows() - 1) as f64
    }

    /// ln of a weak channel's gain from the launch to each position.
    fn gain_along(&self, quantum_thz: f64) -> Vec<f64> {
        if self.stimulated == Stimulated::Off {
            return vec![0.0; self.power_w.nrows()];
        }
        let couplings = |thz: &[f64]| -> Vec<f64> {
            thz.iter().map(|thz| self.fibre.raman_gain_per_km_w(*thz, quantum_thz)).collect()
        };
        let (own, opposing) = (couplings(&self.carriers_thz), couplings(&self.opposing.thz));
        let gain = |row: ArrayView1<'_, f64>, couplings: &[f64]| -> f64 {
            row.iter().zip(couplings).map(|(energy, coupling)| energy * coupling).sum()
        };
        let along = self.energy_w_km.rows().into_iter().zip(self.opposing.energy_w_km.rows());
        along.map(|(with, against)| gain(with, &own) + gain(against, &opposing)).collect()
    }

    /// Transmittance from each position to the quantum channel's receiver.
    fn transmittance_along(&self, quantum_thz: f64, direction: Direction) -> Vec<f64> {
        let attenuation = self.fibre.attenuation_per_km(nm_of(quantum_thz));
        let gain = self.gain_along(quantum_thz);
        let whole = gain.last().copied().unwrap_or(0.0);
        let along = gain.iter().enumerate().map(|(step, gain)| (step as f64 * self.step_km, gain));
        match direction {
            Direction::Co => along
                .map(|(z, gain)| libm::exp(whole - gain - attenuation * (self.length_km() - z)))
                .collect(),
            Direction::Counter => along.map(|(z, gain)| libm::exp(gain - attenuation * z)).collect(),
        }
    }
}

/// d ln P/dz.
struct Rate {
    attenuation_per_km: Vec<f64>,
    /// Gain of row from column in 1/(W·km); empty if nothing is stimulated.
    gain: Array2<f64>,
    /// The same from the light that runs against the carriers.
    opposing_gain: Array2<f64>,
}

impl Rate {
    fn new(fibre: &Fibre, carriers_thz: &[f64], opposing_thz: &[f64], stimulated: Stimulated) -> Self {
        let size = if stimulated == Stimulated::On { carriers_thz.len() } else { 0 };
        let gain = |pumps: &[f64]| {
            Array2::from_shape_fn((size, pumps.len()), |(wave, pump)| {
                fibre.raman_gain_per_km_w(pumps[pump], carriers_thz[wave])
            })
        };
        Self {
            attenuation_per_km: carriers_thz
                .iter()
                .map(|thz| fibre.attenuation_per_km(nm_of(*thz)))
                .collect(),
            gain: gain(carriers_thz),
            opposing_gain: gain(opposing_thz),
        }
    }

    fn at(&self, logarithm: &Array1<f64>, opposing_w: &ArrayView1<'_, f64>) -> Array1<f64> {
        let mut rate = Array1::from_iter(self.attenuation_per_km.iter().map(|attenuation| -attenuation));
        let powers = logarithm.mapv(libm::exp);
        for (gain, powers) in [(&self.gain, powers.view()), (&self.opposing_gain, opposing_w.view())] {
            for (rate, row) in rate.iter_mut().zip(gain.rows()) {
                *rate += row.iter().zip(&powers).map(|(gain, power)| gain * power).sum::<f64>();
            }
        }
        rate
    }

    /// The powers' logarithms one step further.
    fn advance(&self, from: &Array1<f64>, step_km: f64, opposing: &Opposing, step: usize) -> Array1<f64> {
        let halfway = opposing.halfway(step);
        let first = self.at(from, &opposing.power_w.row(step));
        let second = self.at(&(from + &first * (0.5 * step_km)), &halfway.view());
        let third = self.at(&(from + &second * (0.5 * step_km)), &halfway.view());
        let fourth = self.at(&(from + &third * step_km), &opposing.power_w.row(step + 1));
        from + &((first + (second + third) * 2.0 + fourth) * (step_km / 6.0))
    }
}

/// ∫ from the first row to each row, by carrier: exact for the exponentials between two positions.
fn integrate(power_w: &Array2<f64>, step_km: f64) -> Array2<f64> {
    let mut energy = Array2::zeros(power_w.dim());
    for step in 1..power_w.nrows() {
        for carrier in 0..power_w.ncols() {
            let (from, to) = (power_w[[step - 1, carrier]], power_w[[step, carrier]]);
            energy[[step, carrier]] = energy[[step - 1, carrier]] + step_km * logarithmic_mean(from, to);
        }
    }
    energy
}

/// (b − a)/ln(b/a), the mean of an exponential between a and b.
fn logarithmic_mean(a: f64, b: f64) -> f64 {
    let ratio = libm::log(b / a);
    if ratio.abs() < 1e-6 { 0.5 * (a + b) } else { (b - a) / ratio }
}

/// Simpson's weights of an odd number of positions.
fn simpson(positions: usize, step: f64) -> Vec<f64> {
    let weight = |place: usize| match place {
        0 => 1.0,
        last if last + 1 == positions => 1.0,
        odd if odd % 2 == 1 => 4.0,
        _ => 2.0,
    };
    (0..positions).map(|place| weight(place) * step / 3.0).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Attenuation, Curve};
    use super::*;

    fn comb(dbm: f64) -> Vec<(f64, f64)> {
        let power = libm::pow(10.0, dbm / 10.0) * 1e-3 / 118.0;
        let band = |first: f64| (0..59).map(move |slot| (first + 0.075 * f64::from(slot), power));
        band(186.2).chain(band(191.6)).collect()
    }

    fn solve(carriers: &[(f64, f64)]) -> Evolution {
        Evolution::solve(&Fibre::g652d(), carriers, 25.0, Stimulated::On)
    }

    #[test]
    fn the_tilt_of_a_comb_is_that_of_gnpy() {
        // GNPy 3.0.1, perturbative, order 4, 50 m a step: first and last carrier of each band.
        for (dbm, reference) in [
            (17.0, [0.393_268, 0.042_013, -0.039_046, -0.416_336]),
            (20.0, [0.771_625, 0.069_606, -0.092_094, -0.843_221]),
            (23.0, [1.488_264, 0.082_617, -0.239_551, -1.732_024]),
        ] {
            let tilt = solve(&comb(dbm)).tilt_db();
            for (place, reference) in [0, 58, 59, 117].into_iter().zip(reference) {
                let model = tilt[place];
                assert!(
                    (model - reference).abs() < 0.003,
                    "{dbm} dBm, carrier {place}: {model} against {reference}"
                );
            }
        }
    }

    #[test]
    fn a_weak_channel_gains_what_gnpy_says() {
        let evolution = solve(&comb(17.0));
        for (nm, reference) in
            [(1310.0, -0.0262), (1420.0, -0.2481), (1480.0, -0.9264), (1550.0, -0.1794), (1600.0, 0.2900)]
        {
            let gain = evolution.gain_db(nm_of(nm));
            assert!((gain - reference).abs() < 0.002, "{nm} nm: {gain} against {reference} dB");
        }
    }

    #[test]
    fn the_step_is_small_enough() {
        let at = |steps| {
            let nothing = Opposing::none(steps);
            Evolution::solve_in(&Fibre::g652d(), &comb(30.0), 25.0, Stimulated::On, nothing)
        };
        let (used, finer) = (at(64), at(512));
        for (a, b) in used.tilt_db().into_iter().zip(finer.tilt_db()) {
            assert!((a - b).abs() < 1e-6, "{a} against {b} dB");
        }
        let noise = |evolution: &Evolution| -> f64 {
            evolution.scattered_w_per_hz(nm_of(1480.0), Direction::Co, 300.0).iter().sum()
        };
        assert!((noise(&used) / noise(&finer) - 1.0).abs() < 1e-4, "scattering");
    }

    #[test]
    fn integration_meets_the_closed_forms() {
        let fibre = Fibre::g652d();
        for length_km in [0.5, 25.0, 100.0] {
            let evolution = Evolution::solve(&fibre, &[(193.4, 0.01)], length_km, Stimulated::Off);
            let (pump, wave) = (fibre.attenuation_per_km(nm_of(193.4)), fibre.attenuation_per_km(1310.0));
            let co = 0.01 * libm::exp(-wave * length_km) * -libm::expm1(-(pump - wave) * length_km)
                / (pump - wave);
            let counter = 0.01 * -libm::expm1(-(pump + wave) * length_km) / (pump + wave);
            for (direction, closed) in [(Direction::Co, co), (Direction::Counter, counter)] {
                let integrated = evolution.reaching_w_km(nm_of(1310.0), direction)[0];
                let db = 10.0 * libm::log10(integrated / closed);
                assert!(db.abs() < 1e-4, "{length_km} km, {direction:?}: {db} dB");
            }
        }
    }

    #[test]
    fn pump_and_wave_may_change_places() {
        // The accumulation is symmetric in the two attenuations: a fibre is the same from both ends.
        for fibre in [Fibre::g652d(), Fibre::g654e()] {
            for (thz, other) in [(193.4, 228.8), (186.2, 195.9), (230.0, 200.0)] {
                for direction in [Direction::Co, Direction::Counter] {
                    let reach = |pump: f64, wave: f64| {
                        let evolution = Evolution::solve(&fibre, &[(pump, 0.01)], 40.0, Stimulated::Off);
                        evolution.reaching_w_km(wave, direction)[0]
                    };
                    let ratio = reach(thz, other) / reach(other, thz);
                    assert!((ratio - 1.0).abs() < 1e-6, "{thz} and {other} THz, {direction:?}: {ratio}");
                }
            }
        }
    }

    #[test]
    fn powers_add_where_nothing_is_stimulated_and_no_power_scatters_nothing() {
        let noise = |carriers: &[(f64, f64)]| -> f64 {
            let evolution = Evolution::solve(&Fibre::g652d(), carriers, 25.0, Stimulated::Off);
            evolution.scattered_w_per_hz(205.0, Direction::Co, 300.0).iter().sum()
        };
        let (one, other) = ([(193.0, 1e-3)], [(187.0, 2e-3)]);
        let sum = noise(&one) + noise(&other);
        assert!((noise(&[one[0], other[0]]) / sum - 1.0).abs() < 1e-12, "powers add");
        assert!(noise(&[(193.0, 0.0)]) < 1e-60, "no power, no noise");
        assert!(noise(&[]).abs() < 1e-300, "no carrier, no noise");
    }

    #[test]
    fn backscatter_meets_its_closed_form() {
        let fibre = Fibre::g652d();
        let evolution = Evolution::solve(&fibre, &[(193.4, 1.0)], 25.0, Stimulated::Off);
        let attenuation = fibre.attenuation_per_km(nm_of(193.4));
        let closed = fibre.backscatter_per_km(nm_of(193.4)) * -libm::expm1(-2.0 * attenuation * 25.0)
            / (2.0 * attenuation);
        assert!((evolution.backscattered_w()[0] / closed - 1.0).abs() < 1e-6, "closed form {closed}");
    }

    /// Both ends of a fibre with light both ways, at any strength.
    fn both(with_dbm: f64, against_dbm: f64) -> [Evolution; 2] {
        let pumps = [
            (206.0, 0.5e-3 * libm::pow(10.0, against_dbm / 10.0)),
            (205.0, 0.5e-3 * libm::pow(10.0, against_dbm / 10.0)),
        ];
        Evolution::solve_both(&Fibre::g652d(), [&comb(with_dbm), &pumps], 50.0, Stimulated::On)
    }

    #[test]
    fn a_weak_wave_against_a_pump_gains_the_textbooks_raman_gain() {
        // exp(C_R·P·L_eff), whichever way the pump runs, and the pump does not notice.
        let fibre = Fibre::g652d();
        let (pump, wave) = ((206.0, 0.3), (193.0, 1e-9));
        let [met, pumped] = Evolution::solve_both(&fibre, [&[wave], &[pump]], 50.0, Stimulated::On);
        let attenuation = fibre.attenuation_per_km(nm_of(206.0));
        let effective = -libm::expm1(-attenuation * 50.0) / attenuation;
        let gain = fibre.raman_gain_per_km_w(206.0, 193.0) * 0.3 * effective;
        let db = gain * 10.0 / std::f64::consts::LN_10;
        assert!(db > 3.0, "the pump matters: {db} dB");
        assert!((met.tilt_db()[0] - db).abs() < 1e-5, "{} against {db} dB", met.tilt_db()[0]);
        assert!((met.gain_db(193.0) - db).abs() < 1e-4, "so does a quantum channel: {}", met.gain_db(193.0));
        assert!((pumped.gain_db(193.0) - db).abs() < 1e-4, "either way: {}", pumped.gain_db(193.0));
        assert!(pumped.tilt_db()[0].abs() < 1e-6, "the pump is not drained: {}", pumped.tilt_db()[0]);
    }

    #[test]
    fn light_in_both_directions_keeps_its_energy() {
        // Without attenuation what runs one way grows by what the other way lost on the same piece.
        let clear = Curve::new([(1550.0, 1e-9)]).expect("a point");
        let fibre = Fibre { attenuation: Attenuation::Measured(clear), ..Fibre::g652d() };
        let (with, against) = ([(193.0, 0.2), (190.0, 0.1)], [(201.0, 0.3)]);
        let [one, other] = Evolution::solve_both(&fibre, [&with, &against], 20.0, Stimulated::On);
        let sum = |powers: Vec<f64>| powers.iter().sum::<f64>();
        let gained = sum(one.output_w()) - sum(one.launch_w());
        let lost = sum(other.launch_w()) - sum(other.output_w());
        assert!(gained > 0.05, "there is something to keep: {gained} W");
        assert!((gained / lost - 1.0).abs() < 1e-4, "{gained} against {lost} W");
    }

    #[test]
    fn light_both_ways_fulfils_its_equations_from_one_end_to_the_other() {
        // From the launch of the one, in small steps, with the other running backwards in time: its launch is met.
        let fibre = Fibre::g652d();
        let (with, against) = ([(193.0, 0.3), (187.0, 0.1)], [(205.0, 0.4), (199.0, 0.2)]);
        let [one, other] = Evolution::solve_both(&fibre, [&with, &against], 40.0, Stimulated::On);
        let thz = [193.0, 187.0, 205.0, 199.0];
        let sign = [1.0, 1.0, -1.0, -1.0];
        let mut powers: Vec<f64> = one.launch_w();
        powers.extend(other.output_w());
        let steps = 40_000;
        let slope = |powers: &[f64]| -> Vec<f64> {
            let wave = |i: usize| {
                let gain: f64 = (0..4).map(|j| fibre.raman_gain_per_km_w(thz[j], thz[i]) * powers[j]).sum();
                sign[i] * powers[i] * (gain - fibre.attenuation_per_km(nm_of(thz[i])))
            };
            (0..4).map(wave).collect()
        };
        for _ in 0..steps {
            let step = 40.0 / f64::from(steps);
            let middle: Vec<f64> =
                powers.iter().zip(slope(&powers)).map(|(p, s)| p + 0.5 * step * s).collect();
            powers.iter_mut().zip(slope(&middle)).for_each(|(p, s)| *p += step * s);
        }
        let mut met = one.output_w();
        met.extend(other.launch_w());
        for (found, power) in met.iter().zip(&powers) {
            let db = 10.0 * libm::log10(found / power);
            assert!(db.abs() < 3e-3, "{db} dB at the far end");
        }
        assert!(one.tilt_db()[0] > 3.0 && other.tilt_db()[0] < -0.5, "strong light, both ways");
    }

    #[test]
    fn the_turns_settle_up_to_a_watt_either_way() {
        for (with_dbm, against_dbm) in [(17.0, -30.0), (17.0, 27.0), (30.0, 30.0)] {
            let [one, other] = both(with_dbm, against_dbm);
            let left = Opposing::new(&other).furthest_from(&one.opposing);
            assert!(left < 1e-8, "{with_dbm} and {against_dbm} dBm: {left}");
            let left = Opposing::new(&one).furthest_from(&other.opposing);
            assert!(left < 1e-8, "{with_dbm} and {against_dbm} dBm, the other way: {left}");
        }
    }
}
