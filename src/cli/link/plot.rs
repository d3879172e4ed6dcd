//! `keystill link --plot FILE.svg`: the carriers, the noise and the two quantum windows over wavelength.

use std::path::Path;

use anyhow::anyhow;
use keystill::channel::{Direction, Filter, LoadedSpan, Ride, Scenario, nm_of};
use plotters::coord::Shift;
use plotters::prelude::*;

use super::screen::launched_dbm;
use crate::cli::{Exit, Failure};

/// The axis in nm.
const NM: std::ops::Range<f64> = 1255.0..1630.0;
/// Step of the noise curve in nm.
const STEP_NM: f64 = 2.5;
/// By fibre.
const DATA: [RGBColor; 2] = [RGBColor(0x4c, 0x72, 0xb0), RGBColor(0xda, 0x8b, 0xc3)];
const NOISE: [RGBColor; 2] = [RGBColor(0xc4, 0x4e, 0x52), RGBColor(0xdd, 0x84, 0x52)];
const BB84: RGBColor = RGBColor(0x55, 0xa8, 0x68);
const CV: RGBColor = RGBColor(0x81, 0x72, 0xb2);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Draws a scenario's light.
pub(super) fn run(file: &Path, scenario: &Scenario) -> Result<(), Failure> {
    let storage = |error: String| Failure::new(Exit::Storage, anyhow!("{}: {error}", file.display()));
    // Made in memory first, so that a file that cannot be written is told.
    let mut text = String::new();
    draw(&mut text, scenario).map_err(|error| storage(error.to_string()))?;
    std::fs::write(file, text).map_err(|error| storage(error.to_string()))
}

fn draw(text: &mut String, scenario: &Scenario) -> Result<(), Box<dyn std::error::Error>> {
    let root = SVGBackend::with_string(text, (1000, 700)).into_drawing_area();
    root.fill(&WHITE)?;
    let fibres = Fibre::of(scenario);
    let each: Vec<String> = fibres.iter().map(Fibre::title).collect();
    let root = root.titled(&format!("{}: {}", scenario.name, each.join("; ")), ("sans-serif", 22))?;
    let (upper, lower) = root.split_vertically(320);
    draw_carriers(&upper, scenario, &fibres)?;
    draw_noise(&lower, scenario, &fibres)?;
    root.present()?;
    Ok(())
}

/// A fibre that is drawn.
struct Fibre {
    /// Which of them, where both are drawn.
    ride: Option<Ride>,
    scenario: Scenario,
    span: LoadedSpan,
    /// The receiver of a channel that rides it.
    filter: Filter,
    data: RGBColor,
    noise: RGBColor,
}

impl Fibre {
    /// Those worth drawing.
    fn of(scenario: &Scenario) -> Vec<Self> {
        let rides = scenario.fibres();
        let build = |ride: &Ride| {
            let fibre = scenario.on(*ride);
            let only_cv = fibre.cv.rides == Ride::First && fibre.bb84.rides != Ride::First;
            let place = usize::from(*ride == Ride::Second && rides.len() > 1);
            Self {
                ride: Some(*ride).filter(|_| rides.len() > 1),
                span: LoadedSpan::new(&fibre, &fibre.carriers()),
                filter: if only_cv { Filter::of_cv(&fibre) } else { Filter::of_bb84(&fibre) },
                scenario: fibre,
                data: DATA[place],
                noise: NOISE[place],
            }
        };
        rides.iter().map(build).collect()
    }

    fn title(&self) -> String {
        let link = &self.scenario.link;
        let data =
            launched_dbm(&self.scenario).map_or("dark".to_owned(), |dbm| format!("{dbm:.1} dBm of data"));
        format!("{} km of {}, {data}", link.length_km, link.fibre)
    }

    /// Some words, and which fibre they are about where that is not plain.
    fn label(&self, words: &str) -> String {
        self.ride.map_or(words.to_owned(), |ride| format!("{words}, {} fibre", ride.name()))
    }

    /// Wavelength, launched and arriving power of its light.
    fn light(&self) -> Vec<(f64, f64, f64)> {
        let comb = self.span.comb();
        let ends = comb.launch_w().into_iter().zip(comb.output_w());
        let light = comb.carriers_thz().iter().zip(ends);
        light.map(|(thz, (launch, output))| (nm_of(*thz), dbm(launch), dbm(output))).collect()
    }

    /// All noise, and Raman scattering alone, by wavelength.
    fn noise(&self) -> Vec<(f64, f64, f64)> {
        let mut curve = Vec::new();
        let attenuation = self.scenario.fibre().attenuation;
        let mut nm = 1260.0;
        while nm <= 1625.0 {
            // A channel inside a lit carrier's slots is no quantum channel, and a fibre is not known beyond its points.
            let is_lit = self.span.carriers().iter().any(|carrier| carrier.covers(nm_of(nm)));
            if !is_lit && attenuation.reaches(nm) {
                let light = self.span.scattering(&Filter { wavelength_nm: nm, ..self.filter });
                curve.push((nm, dbm(light.noise_w_per_nm), dbm(light.raman_w_per_nm)));
            }
            nm += STEP_NM;
        }
        curve
    }
}

/// Launch and output power of each carrier, and the two windows.
fn draw_carriers(
    area: &Area<'_>,
    scenario: &Scenario,
    fibres: &[Fibre],
) -> Result<(), Box<dyn std::error::Error>> {
    let light: Vec<_> = fibres.iter().map(Fibre::light).collect();
    let all = || light.iter().flatten();
    let high = all().map(|(_, launch, _)| *launch).fold(-20.0, f64::max).ceil() + 4.0;
    let low = all().map(|(_, _, output)| *output).fold(high - 10.0, f64::min).floor() - 4.0;
    let mut chart = ChartBuilder::on(area)
        .margin(8)
        .x_label_area_size(24)
        .y_label_area_size(64)
        .build_cartesian_2d(NM, low..high)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .y_desc("power of a carrier in dBm")
        .x_label_formatter(&whole)
        .y_label_formatter(&whole)
        .label_style(("sans-serif", 14))
        .draw()?;
    windows(&mut chart, scenario, [low, high])?;
    for (fibre, light) in fibres.iter().zip(&light) {
        let colour = fibre.data;
        let bars = light
            .iter()
            .map(|(nm, launch, _)| PathElement::new([(*nm, low), (*nm, *launch)], colour.mix(0.35)));
        chart
            .draw_series(bars)?
            .label(fibre.label("launched"))
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.mix(0.35)));
        let ends = light.iter().map(|(nm, _, output)| Circle::new((*nm, *output), 2, colour.filled()));
        chart
            .draw_series(ends)?
            .label(fibre.label("arriving"))
            .legend(move |(x, y)| Circle::new((x + 8, y), 3, colour.filled()));
    }
    legend(&mut chart, SeriesLabelPosition::MiddleLeft)
}

/// Noise of all mechanisms at the fibres' ends over the wavelength.
fn draw_noise(
    area: &Area<'_>,
    scenario: &Scenario,
    fibres: &[Fibre],
) -> Result<(), Box<dyn std::error::Error>> {
    let curves: Vec<_> = fibres.iter().map(Fibre::noise).collect();
    let all = || curves.iter().flatten();
    let high = all().map(|(_, noise, _)| *noise).fold(-120.0, f64::max).ceil() + 6.0;
    let low = all().map(|(_, _, raman)| *raman).fold(high - 30.0, f64::min).max(high - 90.0).floor() - 4.0;
    let mut chart = ChartBuilder::on(area)
        .margin(8)
        .x_label_area_size(40)
        .y_label_area_size(64)
        .build_cartesian_2d(NM, low..high)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_desc("wavelength in nm")
        .y_desc("noise behind the fibre in dBm/nm")
        .x_label_formatter(&whole)
        .y_label_formatter(&whole)
        .label_style(("sans-serif", 14))
        .draw()?;
    windows(&mut chart, scenario, [low, high])?;
    for (fibre, curve) in fibres.iter().zip(&curves) {
        draw_curve(&mut chart, fibre, curve)?;
    }
    legend(&mut chart, SeriesLabelPosition::LowerRight)
}

/// A fibre's noise.
fn draw_curve<'a, 'b: 'a>(
    chart: &mut Chart<'a, 'b>,
    fibre: &Fibre,
    curve: &[(f64, f64, f64)],
) -> Result<(), Box<dyn std::error::Error>> {
    let colour = fibre.noise;
    let way = match fibre.scenario.data.direction {
        Direction::Co => "with the data",
        Direction::Counter => "against the data",
    };
    // Broken where carriers are lit: a line across would say what nobody can measure.
    for (number, piece) in curve.chunk_by(|a, b| b.0 - a.0 < 1.5 * STEP_NM).enumerate() {
        let noise = piece.iter().map(|(nm, noise, _)| (*nm, *noise));
        let all = chart.draw_series(LineSeries::new(noise, colour.stroke_width(4)))?;
        if number == 0 {
            all.label(fibre.label(&format!("all noise, {way}")))
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(4)));
        }
        let raman = piece.iter().map(|(nm, _, raman)| (*nm, *raman));
        let raman = chart.draw_series(LineSeries::new(raman, WHITE.stroke_width(1)))?;
        if number == 0 {
            raman.label("  of it Raman scattering").legend(move |(x, y)| {
                EmptyElement::at((x, y))
                    + PathElement::new([(0, 0), (16, 0)], colour.stroke_width(4))
                    + PathElement::new([(0, 0), (16, 0)], WHITE.stroke_width(1))
            });
        }
    }
    Ok(())
}

type Chart<'a, 'b> = ChartContext<
    'a,
    SVGBackend<'b>,
    Cartesian2d<plotters::coord::types::RangedCoordf64, plotters::coord::types::RangedCoordf64>,
>;

/// The two quantum channels: a band over the whole height each, with its name.
fn windows(
    chart: &mut Chart<'_, '_>,
    scenario: &Scenario,
    [low, high]: [f64; 2],
) -> Result<(), Box<dyn std::error::Error>> {
    let channels = [("BB84", scenario.bb84.wavelength_nm, BB84), ("CV", scenario.cv.wavelength_nm, CV)];
    for (name, nm, colour) in channels {
        let band = Rectangle::new([(nm - 1.5, low), (nm + 1.5, high)], colour.mix(0.7).filled());
        chart.draw_series([band])?;
        let place = (nm + 3.0, high - 0.04 * (high - low));
        chart.draw_series([Text::new(
            format!("{name} {nm:.0} nm"),
            place,
            ("sans-serif", 14).into_font().color(&colour),
        )])?;
    }
    Ok(())
}

fn legend<'a, 'b: 'a>(
    chart: &mut Chart<'a, 'b>,
    position: SeriesLabelPosition,
) -> Result<(), Box<dyn std::error::Error>> {
    chart
        .configure_series_labels()
        .position(position)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.2))
        .label_font(("sans-serif", 14))
        .draw()?;
    Ok(())
}

fn whole(value: &f64) -> String {
    format!("{value:.0}")
}

/// A power in dBm; darkness is far below everything drawn.
fn dbm(watts: f64) -> f64 {
    if watts > 0.0 { 10.0 * (watts * 1e3).log10() } else { -300.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_shows_carriers_and_both_windows() {
        let text = Scenario::shipped("iown-47t2").expect("it ships");
        for overrides in [vec![], vec!["data.launch_power_dbm=-200".to_owned()]] {
            let scenario = Scenario::from_text("iown-47t2", text, &overrides).expect("good values");
            let mut svg = String::new();
            draw(&mut svg, &scenario).expect("drawn");
            assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"), "a whole picture");
            assert!(svg.contains("BB84 1310 nm") && svg.contains("CV 1420 nm"), "both windows");
        }
    }

    #[test]
    fn a_plot_shows_both_fibres_where_they_differ() {
        let drawn = |overrides: &[&str]| {
            let overrides: Vec<String> = overrides.iter().map(|given| (*given).to_owned()).collect();
            let text = Scenario::shipped("iown-47t2").expect("it ships");
            let scenario = Scenario::from_text("iown-47t2", text, &overrides).expect("good values");
            let mut svg = String::new();
            draw(&mut svg, &scenario).expect("drawn");
            svg
        };
        let own = drawn(&["second.link.length_km=40", "second.data.launch_power_dbm=10"]);
        for words in [
            "25 km of G.652.D, 17.0 dBm of data; 40 km of G.652.D, 10.0 dBm of data",
            "launched, second fibre",
            "all noise, against the data, second fibre",
            "all noise, with the data, first fibre",
        ] {
            assert!(own.contains(words), "{words}");
        }
        assert!(!drawn(&[]).contains(", first fibre"), "one fibre needs no name");
    }
}
