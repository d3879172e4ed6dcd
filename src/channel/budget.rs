//! The noise budget of both quantum channels under one comb.
//!
//! Every noise is stated as a power density behind fibre and drop filter, both polarisations, in W/nm:
//!
//! - Raman scattering: [`Evolution::scattered_w_per_hz`].
//! - leakage: a carrier that runs with the channel arrives with P(L)·10^(−I/10), spread over the passband; I is the
//!   receiver's isolation, or less beside its passband (sixth power of the offset, 3 dB at its edge).
//! - Rayleigh scattering: the same for light against the channel, of which the fibre sends back its share.
//! - amplifier: F·hν·(G − 1) of the booster, less the multiplexer's isolation, carried to the fibre's end, or
//!   scattered back if the data run against the channel.
//! - four-wave mixing: [`super::mixing`].

use super::bb84::Bb84Budget;
use super::cv::CvBudget;
use super::drift::Weather;
use super::fibre::{Fibre, PLANCK, frequency_hz};
use super::mixing::mixed_w_per_hz;
use super::raman::hertz_per_nm;
use super::scenario::{Carrier, Ride, Scenario, watts};
use super::span::{Direction, Evolution, Stimulated, nm_of};

/// How noise comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mechanism {
    /// Spontaneous Raman scattering.
    Raman,
    /// Light of another channel through the receiver's filter.
    Leakage,
    /// The same, scattered back by the fibre.
    Rayleigh,
    /// Spontaneous emission of the booster.
    Amplifier,
    /// Four-wave mixing.
    FourWaveMixing,
}

impl Mechanism {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Raman, Self::Leakage, Self::Rayleigh, Self::Amplifier, Self::FourWaveMixing];

    /// The name in records.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Raman => "raman",
            Self::Leakage => "leakage",
            Self::Rayleigh => "rayleigh",
            Self::Amplifier => "amplifier",
            Self::FourWaveMixing => "four-wave mixing",
        }
    }
}

/// What reaches the receiver of one quantum channel from other light.
#[derive(Clone, Debug, PartialEq)]
pub struct Scattering {
    /// Raman power in W/nm, both polarisations, behind fibre and drop filter.
    pub raman_w_per_nm: f64,
    /// The same in photons/(s·nm).
    pub raman_photons_per_s_per_nm: f64,
    /// Noise of all mechanisms in W/nm, both polarisations, behind fibre and drop filter.
    pub noise_w_per_nm: f64,
    /// The same in photons/(s·nm).
    pub noise_photons_per_s_per_nm: f64,
    /// How much a kelvin adds to it, in dB.
    pub noise_db_per_k: f64,
    /// Gain of the quantum channel by stimulated scattering in dB; negative: it is drained.
    pub srs_gain_db: f64,
    /// Loss of the fibre and of its add and drop filters in dB, without the gain.
    pub loss_db: f64,
    /// Contributions to the noise, largest first.
    pub contributions: Vec<Contribution>,
}

/// One source's share of the noise by one mechanism.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Contribution {
    /// How it comes about.
    pub mechanism: Mechanism,
    /// The source in THz: a carrier, a signal, or for the booster's emission the channel itself.
    pub carrier_thz: f64,
    /// Its power in W/nm.
    pub w_per_nm: f64,
    /// Its share of the noise.
    pub share: f64,
}

impl Scattering {
    /// The share of a mechanism in the noise.
    #[must_use]
    pub fn share(&self, mechanism: Mechanism) -> f64 {
        let own = self.contributions.iter().filter(|contribution| contribution.mechanism == mechanism);
        own.fold(0.0, |sum, contribution| sum + contribution.share)
    }

    /// The same link in other weather, without its contributions. The data's power acts on noise and gain in
    /// proportion: what the carriers do to each other is small against a transient.
    #[must_use]
    pub fn under(&self, weather: &Weather) -> Self {
        let launch = libm::pow(10.0, weather.launch_db / 10.0);
        let db = weather.launch_db + self.noise_db_per_k * weather.temperature_k - weather.loss_db;
        let scale = if weather.cut { 0.0 } else { libm::pow(10.0, db / 10.0) };
        Self {
            raman_w_per_nm: self.raman_w_per_nm * scale,
            raman_photons_per_s_per_nm: self.raman_photons_per_s_per_nm * scale,
            noise_w_per_nm: self.noise_w_per_nm * scale,
            noise_photons_per_s_per_nm: self.noise_photons_per_s_per_nm * scale,
            noise_db_per_k: self.noise_db_per_k,
            srs_gain_db: self.srs_gain_db * launch,
            loss_db: if weather.cut { 300.0 } else { self.loss_db + weather.loss_db },
            contributions: Vec::new(),
        }
    }
}

/// Both quantum channels under one comb.
#[derive(Clone, Debug, PartialEq)]
pub struct Budget {
    /// The BB84 channel.
    pub bb84: Bb84Budget,
    /// The CV channel.
    pub cv: CvBudget,
}

/// The budget of a scenario, without its drift and events.
#[must_use]
pub fn budget(scenario: &Scenario) -> Budget {
    LoadedPair::new(scenario, &|_, _| true).budget(scenario)
}

/// What a receiver lets in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Filter {
    /// The quantum channel in nm.
    pub wavelength_nm: f64,
    /// Full width of the passband in nm.
    pub passband_nm: f64,
    /// What it takes from light far outside, in dB.
    pub isolation_db: f64,
}

impl Filter {
    /// Of the BB84 receiver.
    #[must_use]
    pub fn of_bb84(scenario: &Scenario) -> Self {
        Self {
            wavelength_nm: scenario.bb84.wavelength_nm,
            passband_nm: scenario.bb84.filter_nm,
            isolation_db: scenario.filters.bb84_isolation_db,
        }
    }

    /// Of the CV receiver.
    #[must_use]
    pub fn of_cv(scenario: &Scenario) -> Self {
        Self {
            wavelength_nm: scenario.cv.wavelength_nm,
            passband_nm: scenario.filters.cv_passband_nm,
            isolation_db: scenario.filters.cv_isolation_db,
        }
    }

    /// What is left of light at another wavelength, a nanometre of the passband.
    fn passes_per_nm(&self, nm: f64) -> f64 {
        let edges = 2.0 * (nm - self.wavelength_nm) / self.passband_nm;
        let db = (3.01 * edges * edges * edges * edges * edges * edges).min(self.isolation_db);
        libm::pow(10.0, -db / 10.0) / self.passband_nm
    }
}

/// The fibres that the two quantum channels ride, loaded.
#[derive(Clone, Debug)]
pub struct LoadedPair {
    bb84: LoadedSpan,
    cv: LoadedSpan,
}

impl LoadedPair {
    /// Solves the evolution of a scenario's light with those of its carriers that are lit.
    #[must_use]
    pub fn new(scenario: &Scenario, is_lit: &dyn Fn(Ride, &Carrier) -> bool) -> Self {
        let load = |ride: Ride| {
            let fibre = scenario.on(ride);
            let mut carriers = fibre.carriers();
            carriers.retain(|carrier| is_lit(ride, carrier));
            LoadedSpan::new(&fibre, &carriers)
        };
        let bb84 = load(scenario.bb84.rides);
        let cv =
            if scenario.cv.rides == scenario.bb84.rides { bb84.clone() } else { load(scenario.cv.rides) };
        Self { bb84, cv }
    }

    /// The budget of a scenario's two systems beside this light, each on the fibre that it was loaded on.
    #[must_use]
    pub fn budget(&self, systems: &Scenario) -> Budget {
        let [bb84, cv] = self.scattering(systems);
        let weather = Weather::default();
        Budget {
            bb84: Bb84Budget::new(&systems.bb84, bb84, &weather),
            cv: CvBudget::new(&systems.cv, cv, &weather),
        }
    }

    /// What both channels of a scenario get from all other light, BB84 first.
    #[must_use]
    pub fn scattering(&self, systems: &Scenario) -> [Scattering; 2] {
        [self.bb84.scattering(&Filter::of_bb84(systems)), self.cv.scattering(&Filter::of_cv(systems))]
    }
}

/// A scenario's first fibre, its carriers' evolution solved: noise and gain of any quantum channel follow.
#[derive(Clone, Debug)]
pub struct LoadedSpan {
    scenario: Scenario,
    fibre: Fibre,
    /// The comb, and what runs with it.
    comb: Evolution,
    carriers: Vec<Carrier>,
    /// What runs against the comb, if anything does.
    against: Option<Evolution>,
}

impl LoadedSpan {
    /// Solves the evolution of some carriers and of the scenario's signals.
    #[must_use]
    pub fn new(scenario: &Scenario, carriers: &[Carrier]) -> Self {
        let fibre = scenario.fibre();
        let stimulated = if scenario.noise.stimulated.is_on() { Stimulated::On } else { Stimulated::Off };
        let signals = |with: bool| {
            let same =
                scenario.signal.iter().filter(move |s| (s.direction == scenario.data.direction) == with);
            same.map(|signal| (nm_of(signal.wavelength_nm), watts(signal.power_dbm)))
        };
        let lit: Vec<(f64, f64)> =
            carriers.iter().map(|carrier| (carrier.thz, carrier.power_w)).chain(signals(true)).collect();
        let against: Vec<(f64, f64)> = signals(false).collect();
        let bright = |light: Vec<(f64, f64)>| -> Vec<(f64, f64)> {
            light.into_iter().filter(|(_, power)| *power > 0.0).collect()
        };
        let (lit, against) = (bright(lit), bright(against));
        let length_km = scenario.link.length_km;
        let (comb, against) = if against.is_empty() {
            (Evolution::solve(&fibre, &lit, length_km, stimulated), None)
        } else {
            let [comb, against] = Evolution::solve_both(&fibre, [&lit, &against], length_km, stimulated);
            (comb, Some(against))
        };
        Self { scenario: scenario.clone(), comb, carriers: carriers.to_vec(), against, fibre }
    }

    /// The comb's evolution; signals that run with it stand behind the carriers.
    #[must_use]
    pub fn comb(&self) -> &Evolution {
        &self.comb
    }

    /// The scenario.
    #[must_use]
    pub fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    /// The lit carriers.
    #[must_use]
    pub fn carriers(&self) -> &[Carrier] {
        &self.carriers
    }

    /// What a quantum channel gets from all other light.
    #[must_use]
    pub fn scattering(&self, filter: &Filter) -> Scattering {
        let (link, filters) = (&self.scenario.link, &self.scenario.filters);
        let quantum_thz = nm_of(filter.wavelength_nm);
        let dropped = libm::pow(10.0, -filters.drop_loss_db / 10.0);
        let mut contributions = self.raman(filter, link.temperature_k);
        let warmer = dropped * sum(&self.raman(filter, link.temperature_k + 1.0));
        let raman_w_per_nm = dropped * sum(&contributions);
        contributions.extend(self.elastic(filter));
        contributions.extend(self.amplifier(filter));
        contributions.extend(self.mixing(filter));
        contributions.iter_mut().for_each(|contribution| contribution.w_per_nm *= dropped);
        let noise_w_per_nm = sum(&contributions);
        for contribution in &mut contributions {
            contribution.share = contribution.w_per_nm / noise_w_per_nm.max(f64::MIN_POSITIVE);
        }
        contributions.sort_by(|a, b| b.share.total_cmp(&a.share));
        let photon = PLANCK * frequency_hz(filter.wavelength_nm);
        let grown = (noise_w_per_nm + warmer - raman_w_per_nm) / noise_w_per_nm.max(f64::MIN_POSITIVE);
        Scattering {
            raman_w_per_nm,
            raman_photons_per_s_per_nm: raman_w_per_nm / photon,
            noise_w_per_nm,
            noise_photons_per_s_per_nm: noise_w_per_nm / photon,
            noise_db_per_k: if noise_w_per_nm > 0.0 { 10.0 * libm::log10(grown) } else { 0.0 },
            srs_gain_db: self.comb.gain_db(quantum_thz),
            loss_db: self.fibre.attenuation_db_per_km(filter.wavelength_nm) * link.length_km
                + filters.add_loss_db
                + filters.drop_loss_db,
            contributions,
        }
    }

    /// The two groups of light, with their direction seen from a quantum channel.
    fn groups(&self) -> impl Iterator<Item = (&Evolution, Direction)> {
        let with = self.scenario.data.direction;
        let opposite = with.opposite();
        [(&self.comb, with)].into_iter().chain(self.against.as_ref().map(|against| (against, opposite)))
    }

    fn raman(&self, filter: &Filter, kelvin: f64) -> Vec<Contribution> {
        if !self.scenario.noise.raman.is_on() {
            return Vec::new();
        }
        let quantum_thz = nm_of(filter.wavelength_nm);
        let per_nm = hertz_per_nm(quantum_thz);
        self.groups()
            .flat_map(|(light, direction)| {
                let densities = light.scattered_w_per_hz(quantum_thz, direction, kelvin);
                let each = light.carriers_thz().iter().zip(densities);
                each.map(|(thz, density)| contribution(Mechanism::Raman, *thz, density * per_nm))
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    /// Light that comes through the filter at its own wavelength.
    fn elastic(&self, filter: &Filter) -> Vec<Contribution> {
        let noise = &self.scenario.noise;
        let mut found = Vec::new();
        for (light, direction) in self.groups() {
            let (mechanism, switch, arriving) = match direction {
                Direction::Co => (Mechanism::Leakage, noise.leakage, light.output_w()),
                Direction::Counter => (Mechanism::Rayleigh, noise.rayleigh, light.backscattered_w()),
            };
            if switch.is_on() {
                found.extend(light.carriers_thz().iter().zip(arriving).map(|(thz, power)| {
                    contribution(mechanism, *thz, power * filter.passes_per_nm(nm_of(*thz)))
                }));
            }
        }
        found
    }

    fn amplifier(&self, filter: &Filter) -> Option<Contribution> {
        let quantum_thz = nm_of(filter.wavelength_nm);
        let (amplifier, noise) = (&self.scenario.amplifier, &self.scenario.noise);
        if !noise.amplifier.is_on() || self.carriers.iter().all(|carrier| carrier.power_w <= 0.0) {
            return None;
        }
        let nm = nm_of(quantum_thz);
        let outside = if (1525.0..=1628.0).contains(&nm) { 0.0 } else { amplifier.roll_off_db };
        let linear = |db: f64| libm::pow(10.0, db / 10.0);
        let emitted = linear(amplifier.noise_figure_db)
            * PLANCK
            * quantum_thz
            * 1e12
            * (linear(amplifier.gain_db) - 1.0).max(0.0)
            * linear(-outside - self.scenario.filters.mux_isolation_db);
        let length = self.scenario.link.length_km;
        let loss = self.fibre.attenuation_per_km(nm);
        let carried = match self.scenario.data.direction {
            Direction::Co => linear(self.comb.gain_db(quantum_thz)) * libm::exp(-loss * length),
            Direction::Counter => {
                self.fibre.backscatter_per_km(nm) * -libm::expm1(-2.0 * loss * length) / (2.0 * loss)
            }
        };
        let w_per_nm = emitted * carried * hertz_per_nm(quantum_thz);
        Some(contribution(Mechanism::Amplifier, quantum_thz, w_per_nm))
    }

    fn mixing(&self, filter: &Filter) -> Vec<Contribution> {
        let quantum_thz = nm_of(filter.wavelength_nm);
        let co = self.scenario.data.direction == Direction::Co;
        if !co || !self.scenario.noise.four_wave_mixing.is_on() {
            return Vec::new();
        }
        let per_nm = hertz_per_nm(quantum_thz);
        let mixed = mixed_w_per_hz(&self.fibre, &self.carriers, self.scenario.link.length_km, quantum_thz);
        let each = self.carriers.iter().zip(mixed).filter(|(_, density)| *density > 0.0);
        each.map(|(carrier, density)| contribution(Mechanism::FourWaveMixing, carrier.thz, density * per_nm))
            .collect()
    }
}

fn contribution(mechanism: Mechanism, carrier_thz: f64, w_per_nm: f64) -> Contribution {
    Contribution { mechanism, carrier_thz, w_per_nm, share: 0.0 }
}

fn sum(contributions: &[Contribution]) -> f64 {
    // From plus zero: the sum of nothing is minus zero.
    contributions.iter().fold(0.0, |sum, contribution| sum + contribution.w_per_nm)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scenario(overrides: &[&str]) -> Scenario {
        let overrides: Vec<String> = overrides.iter().map(|given| (*given).to_owned()).collect();
        let text = Scenario::shipped("iown-47t2").expect("it ships");
        Scenario::from_text("iown-47t2", text, &overrides).expect("good values")
    }

    /// What a channel of the BB84 receiver's filter gets.
    fn at(overrides: &[&str], wavelength_nm: f64) -> Scattering {
        let scenario = scenario(overrides);
        let filter = Filter { wavelength_nm, ..Filter::of_bb84(&scenario) };
        LoadedSpan::new(&scenario, &scenario.data.lit(&[nm_of(wavelength_nm)])).scattering(&filter)
    }

    #[test]
    fn the_demonstration_scatters_as_computed_elsewhere() {
        for (overrides, photons) in [(&[][..], 3.04e6), (&["data.direction=counter"], 4.31e6)] {
            let found = at(overrides, 1310.0).raman_photons_per_s_per_nm;
            let db = 10.0 * libm::log10(found / photons);
            assert!(db.abs() < 0.5, "{overrides:?}: {found} against {photons}");
        }
        assert!((at(&[], 1310.0).loss_db - 8.19).abs() < 0.03, "loss");
        let gain = at(&[], 1420.0).srs_gain_db;
        assert!((gain + 0.248).abs() < 0.002, "gain at 1420 nm: {gain} dB");
    }

    #[test]
    fn contributions_sum_to_the_noise_and_are_ranked() {
        let lit = at(&[], 1540.0);
        let sum: f64 = lit.contributions.iter().map(|contribution| contribution.share).sum();
        assert!((sum - 1.0).abs() < 1e-12, "{sum}");
        assert!(lit.contributions.is_sorted_by(|a, b| a.share >= b.share), "ranked");
        for mechanism in
            [Mechanism::Raman, Mechanism::Leakage, Mechanism::Amplifier, Mechanism::FourWaveMixing]
        {
            assert!(lit.share(mechanism) > 0.0, "{mechanism:?} contributes inside the band");
        }
    }

    #[test]
    fn every_mechanism_can_be_switched_off() {
        for (name, mechanism) in [
            ("raman", Mechanism::Raman),
            ("leakage", Mechanism::Leakage),
            ("amplifier", Mechanism::Amplifier),
            ("four_wave_mixing", Mechanism::FourWaveMixing),
        ] {
            let off = at(&[&format!("noise.{name}=off")], 1540.0);
            assert!(off.share(mechanism).abs() < 1e-300, "{name} is off");
            assert!(off.noise_w_per_nm < at(&[], 1540.0).noise_w_per_nm, "and the noise is less");
        }
        let counter = ["data.direction=counter", "noise.rayleigh=off"];
        assert!(at(&counter[..1], 1310.0).share(Mechanism::Rayleigh) > 0.0, "light scattered back");
        assert!(at(&counter, 1310.0).share(Mechanism::Rayleigh).abs() < 1e-300, "and off");
        assert!(at(&["noise.stimulated=off"], 1480.0).srs_gain_db.abs() < 1e-300, "no gain");
    }

    #[test]
    fn no_light_makes_no_noise_and_more_light_makes_more() {
        let noise = |dbm: f64| at(&[&format!("data.launch_power_dbm={dbm}")], 1310.0).noise_w_per_nm;
        assert!(noise(-200.0).abs() < 1e-300, "no power, no noise");
        let powers = [-20.0, 0.0, 10.0, 17.0, 20.0, 23.0].map(noise);
        assert!(powers.is_sorted_by(|a, b| a < b), "monotone in power: {powers:?}");
        let raman = |dbm: &str| at(&[&format!("data.launch_power_dbm={dbm}")], 1310.0).raman_w_per_nm;
        assert!((raman("0") / raman("-20") - 100.0).abs() < 0.1, "linear where it is weak");
        let warmer = [250.0, 280.0, 300.0, 320.0]
            .map(|kelvin: f64| at(&[&format!("link.temperature_k={kelvin}")], 1310.0).noise_w_per_nm);
        assert!(warmer.is_sorted_by(|a, b| a < b), "monotone in temperature: {warmer:?}");
    }

    #[test]
    fn the_second_fibre_is_the_first_one_the_other_way_round() {
        let of = |overrides: &[&str]| {
            let budget = budget(&scenario(overrides));
            [budget.bb84.scattering, budget.cv.scattering]
        };
        let (co, counter) = (of(&[]), of(&["data.direction=counter"]));
        let mixed = of(&["cv.rides=second"]);
        assert_eq!(mixed, [co[0].clone(), counter[1].clone()], "BB84 with its data, CV against");
        let turned = of(&["bb84.rides=second", "data.direction=counter"]);
        assert_eq!(turned, [co[0].clone(), counter[1].clone()], "and the same pair from the other end");
        assert!(counter[1].noise_w_per_nm > co[1].noise_w_per_nm, "backward scattering is stronger");
    }

    #[test]
    fn a_second_fibre_of_its_own_is_that_fibre_alone() {
        let own = [
            "link.length_km=40",
            "link.fibre=G.654.E",
            "data.launch_power_dbm=10",
            "data.slots=[59,20]",
            "filters.drop_loss_db=1",
            "amplifier.gain_db=12",
        ];
        let second: Vec<String> = own.iter().map(|given| format!("second.{given}")).collect();
        let given: Vec<&str> = second.iter().map(String::as_str).chain(["cv.rides=second"]).collect();
        let both = budget(&scenario(&given));
        let alone: Vec<&str> = own.into_iter().chain(["data.direction=counter"]).collect();
        assert_eq!(both.cv.scattering, budget(&scenario(&alone)).cv.scattering, "CV on the second");
        assert_eq!(both.bb84.scattering, budget(&scenario(&[])).bb84.scattering, "BB84 as it was");
    }

    #[test]
    fn a_carrier_gives_way_on_the_fibre_of_the_channel_only() {
        let lit = |rides: &str| {
            let scenario = scenario(&["cv.wavelength_nm=1550", &format!("cv.rides={rides}")]);
            [Ride::First, Ride::Second].map(|ride| scenario.on(ride).carriers().len())
        };
        assert_eq!(lit("first"), [117, 118], "dark on the first");
        assert_eq!(lit("second"), [118, 117], "dark on the second");
    }

    #[test]
    fn strong_light_against_the_data_acts_on_all() {
        let pump = "\n[[signal]]\nname = \"pump\"\nwavelength_nm = 1450.0\npower_dbm = 20.0\ndirection = \"counter\"\n";
        let text = format!("{}{pump}", Scenario::shipped("iown-47t2").expect("it ships"));
        let with = |overrides: &[&str], nm: f64| {
            let overrides: Vec<String> = overrides.iter().map(|given| (*given).to_owned()).collect();
            let scenario = Scenario::from_text("pumped", &text, &overrides).expect("good values");
            let filter = Filter { wavelength_nm: nm, ..Filter::of_bb84(&scenario) };
            let span = LoadedSpan::new(&scenario, &scenario.carriers());
            (span.scattering(&filter), span.comb().tilt_db())
        };
        let (light, tilt) = with(&[], 1490.0);
        let alone = at(&[], 1490.0).srs_gain_db;
        assert!(light.srs_gain_db > alone + 0.3, "{} beside {alone} dB", light.srs_gain_db);
        let (same, _) = with(&["signal.0.direction=co", "data.direction=counter"], 1490.0);
        let turned = (same.srs_gain_db - light.srs_gain_db).abs();
        assert!(turned < 1e-12, "a channel gains as much from either end of the pair: {turned}");
        let carriers = scenario(&[]);
        let unpumped = LoadedSpan::new(&carriers, &carriers.carriers()).comb().tilt_db();
        assert!(tilt.iter().zip(&unpumped).all(|(with, without)| with > without), "every carrier gains");
        assert!(
            with(&["noise.stimulated=off"], 1490.0).0.srs_gain_db.abs() < 1e-300,
            "and it can be switched off"
        );
    }

    #[test]
    fn add_and_drop_filters_take_what_they_should() {
        let (bare, filtered) =
            (at(&[], 1310.0), at(&["filters.add_loss_db=1.5", "filters.drop_loss_db=0.5"], 1310.0));
        assert!((filtered.loss_db - bare.loss_db - 2.0).abs() < 1e-12, "both of the channel");
        for (with, without) in [
            (filtered.noise_w_per_nm, bare.noise_w_per_nm),
            (filtered.raman_w_per_nm, bare.raman_w_per_nm),
            (filtered.noise_photons_per_s_per_nm, bare.noise_photons_per_s_per_nm),
        ] {
            assert!((10.0 * libm::log10(with / without) + 0.5).abs() < 1e-9, "the drop filter of the noise");
        }
        assert!((filtered.noise_db_per_k - bare.noise_db_per_k).abs() < 1e-12, "the same thermometer");
    }

    #[test]
    fn powers_add() {
        // Without stimulated scattering the noise of a comb is that of its halves.
        let half = |from: f64, to: f64| {
            let off = format!("data.dark_thz=[[{from},{to}]]");
            at(&["noise.stimulated=off", "noise.four_wave_mixing=off", "noise.amplifier=off", &off], 1310.0)
                .noise_w_per_nm
        };
        // The total is shared by the carriers that are lit, so that each half has the power of the whole.
        let whole = half(190.7, 191.5);
        let halves = 0.5 * (half(185.0, 191.0) + half(191.0, 197.0));
        assert!((halves / whole - 1.0).abs() < 1e-12, "{halves:e} against {whole:e}");
    }

    #[test]
    fn a_signal_of_its_own_adds_its_noise() {
        let text = format!(
            "{}\n[[signal]]\nname = \"sync\"\nwavelength_nm = 1550.0\npower_dbm = -10.0\ndirection = \"counter\"\n",
            Scenario::shipped("iown-47t2").expect("it ships")
        );
        let scenario = Scenario::from_text("with sync", &text, &[]).expect("good values");
        let with = budget(&scenario).bb84.scattering;
        let own = with.contributions.iter().filter(|c| (c.carrier_thz - nm_of(1550.0)).abs() < 1e-9);
        let mechanisms: Vec<Mechanism> = own.map(|c| c.mechanism).collect();
        assert!(
            mechanisms.contains(&Mechanism::Raman) && mechanisms.contains(&Mechanism::Rayleigh),
            "both ways"
        );
    }
}
