//! The link's course in time: both budgets at any moment of a scenario with drift and events.

use super::bb84::{Bb84Budget, ClickModel};
use super::budget::{LoadedPair, Scattering};
use super::cv::CvBudget;
use super::drift::{Event, Forecast};
use super::scenario::{Ride, Scenario};

/// A scenario under a seed, its comb solved for every loading that occurs.
#[derive(Clone, Debug)]
pub struct Course {
    scenario: Scenario,
    /// Of the channels' fibres, BB84's first: the same drift, each with what befalls it.
    forecasts: [Forecast; 2],
    /// From when, in s, which light reaches BB84 and CV; in order, the first from the beginning on.
    loadings: Vec<(f64, [Scattering; 2])>,
}

impl Course {
    /// Solves the comb of each loading: a few milliseconds each.
    #[must_use]
    pub fn new(scenario: &Scenario, seed: u64) -> Self {
        let forecast = |fibre: Ride| {
            let events: Vec<Event> =
                scenario.event.iter().filter(|event| event.befalls(fibre)).copied().collect();
            Forecast::new(&scenario.drift, &events, seed)
        };
        let forecasts = [scenario.bb84.rides, scenario.cv.rides].map(forecast);
        let mut times: Vec<f64> = forecasts.iter().flat_map(Forecast::loading_changes_s).collect();
        times.retain(|seconds| *seconds > 0.0);
        times.push(0.0);
        times.sort_by(f64::total_cmp);
        times.dedup();
        let loadings = times.into_iter().map(|from| (from, loading(scenario, &forecasts, from))).collect();
        Self { scenario: scenario.clone(), forecasts, loadings }
    }

    /// Whether nothing ever changes.
    #[must_use]
    pub fn is_steady(&self) -> bool {
        self.forecasts.iter().all(Forecast::is_steady)
    }

    /// The BB84 channel at a time in s.
    #[must_use]
    pub fn bb84(&self, seconds: f64) -> Bb84Budget {
        let weather = self.forecasts[0].at(seconds);
        Bb84Budget::new(&self.scenario.bb84, self.light(seconds)[0].under(&weather), &weather)
    }

    /// How BB84 gates click at a time in s: what [`Course::bb84`] says, without the counts that follow.
    #[must_use]
    pub fn clicks(&self, seconds: f64) -> ClickModel {
        let weather = self.forecasts[0].at(seconds);
        ClickModel::new(&self.scenario.bb84, &self.light(seconds)[0].under(&weather), &weather).0
    }

    /// The CV channel at a time in s.
    #[must_use]
    pub fn cv(&self, seconds: f64) -> CvBudget {
        let weather = self.forecasts[1].at(seconds);
        CvBudget::new(&self.scenario.cv, self.light(seconds)[1].under(&weather), &weather)
    }

    fn light(&self, seconds: f64) -> &[Scattering; 2] {
        let begun = self.loadings.partition_point(|(from, _)| *from <= seconds);
        &self.loadings[begun.saturating_sub(1)].1
    }
}

fn loading(scenario: &Scenario, forecasts: &[Forecast; 2], seconds: f64) -> [Scattering; 2] {
    // The two forecasts agree where both channels ride one fibre.
    let of = |fibre: Ride| &forecasts[usize::from(scenario.bb84.rides != fibre)];
    let pair = LoadedPair::new(scenario, &|fibre, carrier| of(fibre).is_lit(carrier.thz, seconds));
    pair.scattering(scenario).map(|light| Scattering { contributions: Vec::new(), ..light })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::{Cv, budget};

    fn scenario(more: &str) -> Scenario {
        let text = format!("{}\n{more}", Scenario::shipped("iown-47t2").expect("it ships"));
        Scenario::from_text("more", &text, &[]).expect("good values")
    }

    #[test]
    fn fair_weather_is_the_budget() {
        let scenario = scenario("");
        let (course, budget) = (Course::new(&scenario, 1), budget(&scenario));
        assert!(course.is_steady(), "nothing happens");
        assert_eq!(course.bb84(1e4).clicks, budget.bb84.clicks, "BB84");
        assert!((course.cv(1e4).snr - budget.cv.snr).abs() < 1e-15, "CV");
    }

    #[test]
    fn a_band_that_is_dropped_gives_the_channels_back_their_light() {
        let drop = "[[event]]\nat_s = 100.0\nwhat = \"drop\"\nthz = [191.0, 197.0]\nduration_s = 50.0\n";
        let course = Course::new(&scenario(drop), 1);
        let (loaded, dropped, back) = (course.cv(99.0), course.cv(101.0), course.cv(151.0));
        let noise = dropped.photons_per_mode / loaded.photons_per_mode;
        assert!((0.02..0.5).contains(&noise), "most of the noise came from the C band: {noise}");
        assert!(dropped.transmittance > loaded.transmittance * 1.02, "and T rises");
        assert!((back.snr - loaded.snr).abs() < 1e-15, "the band is back");
        let bb84 = course.bb84(101.0).scattered_per_gate / course.bb84(99.0).scattered_per_gate;
        assert!((0.03..0.2).contains(&bb84), "88 % of the O band's noise is the C band's: {bb84}");
    }

    #[test]
    fn faults_act_on_what_they_hit() {
        let text = "[[event]]\nat_s = 10.0\nwhat = \"fibre-cut\"\nduration_s = 10.0\n\
                    [[event]]\nat_s = 30.0\nwhat = \"connector-knock\"\nsize_db = 3.0\nduration_s = 10.0\n\
                    [[event]]\nat_s = 50.0\nwhat = \"detector-latch\"\nduration_s = 10.0\n\
                    [[event]]\nat_s = 70.0\nwhat = \"gain-transient\"\nsize_db = 2.0\nduration_s = 1.0\n";
        let course = Course::new(&scenario(text), 1);
        let (fair, cut) = (course.bb84(0.0), course.bb84(15.0));
        assert!(cut.efficiency < 1e-20 && cut.scattered_per_gate.abs() < 1e-300, "dark counts are left");
        let knocked = course.bb84(35.0).efficiency / fair.efficiency;
        assert!((knocked - libm::pow(10.0, -0.3)).abs() < 1e-9, "3 dB less: {knocked}");
        assert!(
            course.bb84(55.0).qber > 0.0 && course.bb84(55.0).click_rate < 0.6 * fair.click_rate,
            "half blind"
        );
        let louder = course.cv(70.0).photons_per_mode / fair_cv(&course);
        assert!((louder - libm::pow(10.0, 0.2)).abs() < 1e-9, "2 dB more noise: {louder}");
    }

    fn fair_cv(course: &Course) -> f64 {
        course.cv(0.0).photons_per_mode
    }

    #[test]
    fn what_befalls_one_fibre_leaves_the_other_alone() {
        let text = "[[event]]\nat_s = 10.0\nwhat = \"fibre-cut\"\nduration_s = 10.0\nfibre = \"second\"\n\
                    [[event]]\nat_s = 30.0\nwhat = \"drop\"\nthz = [191.0, 197.0]\nduration_s = 10.0\nfibre = \"first\"\n";
        let apart = Scenario { cv: Cv { rides: Ride::Second, ..scenario("").cv }, ..scenario(text) };
        let course = Course::new(&apart, 1);
        let (fair, cut, dropped) = (course.cv(0.0), course.cv(15.0), course.cv(35.0));
        assert!(cut.transmittance < 1e-20 && fair.transmittance > 0.1, "the second is cut");
        assert!(
            (course.bb84(15.0).click_rate - course.bb84(0.0).click_rate).abs() < 1e-15,
            "the first is whole"
        );
        assert!((dropped.snr - fair.snr).abs() < 1e-15, "carriers of the first only");
        assert!(
            course.bb84(35.0).scattered_per_gate < 0.5 * course.bb84(0.0).scattered_per_gate,
            "are dropped"
        );
        assert!(
            (course.bb84(45.0).scattered_per_gate - course.bb84(0.0).scattered_per_gate).abs() < 1e-15,
            "and back"
        );
    }
}
