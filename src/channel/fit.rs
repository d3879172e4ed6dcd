//! κ(Δ) of a fibre from a measured Raman spectrum.
//!
//! κ in dB is straight between some offsets; its values there are the least squares over the spectrum of measured over
//! computed scattering in dB.

use super::curve::Curve;
use super::fibre::Fibre;
use super::span::nm_of;

/// Offsets in THz at which κ is sought inside the spectrum, and so at its ends.
const NODES: [f64; 9] = [0.0, 1.0, 3.0, 5.0, 8.0, 12.0, 18.0, 25.0, 32.0];

/// Offset in THz from an end of the spectrum within which it has no other node.
const CLOSE: f64 = 0.5;

/// κ(Δ) and how well the spectrum follows it.
#[derive(Clone, Debug, PartialEq)]
pub struct KappaFit {
    /// κ in dB by offset in THz.
    pub kappa_db: Curve,
    /// Mean of model minus measurement in dB.
    pub mean_db: f64,
    /// Its standard deviation in dB.
    pub spread_db: f64,
}

/// Fits κ(Δ) to a cross-section ρ(λ) in 1/(km·nm) of one pump; `None` with fewer than three points beyond a
/// quarter of a THz from the pump, or if one is not positive.
#[must_use]
pub fn fit_kappa(fibre: &Fibre, pump_nm: f64, spectrum: &[(f64, f64)], kelvin: f64) -> Option<KappaFit> {
    let plain = Fibre { kappa_db: Curve::new([(0.0, 0.0)])?, ..fibre.clone() };
    let offset = |nm: f64| (nm_of(pump_nm) - nm_of(nm)).abs();
    let seen: Vec<(f64, f64)> = spectrum
        .iter()
        .filter(|(nm, _)| offset(*nm) > 0.25)
        .map(|(nm, rho)| (offset(*nm), 10.0 * libm::log10(rho / plain.raman_per_km_nm(pump_nm, *nm, kelvin))))
        .collect();
    if seen.len() < 3 || seen.iter().any(|(_, db)| !db.is_finite()) {
        return None;
    }
    let kappa_db = Curve::new(nodes(&seen).into_iter().zip(least_squares(&seen)?))?;
    let errors: Vec<f64> = seen.iter().map(|(thz, db)| kappa_db.at(*thz) - db).collect();
    let mean_db = errors.iter().sum::<f64>() / errors.len() as f64;
    let squares: f64 = errors.iter().map(|error| (error - mean_db) * (error - mean_db)).sum();
    Some(KappaFit { kappa_db, mean_db, spread_db: libm::sqrt(squares / errors.len() as f64) })
}

/// The spectrum's ends, and the nodes well between them that have a point between their neighbours.
fn nodes(seen: &[(f64, f64)]) -> Vec<f64> {
    let low = seen.iter().map(|(thz, _)| *thz).fold(f64::INFINITY, f64::min);
    let high = seen.iter().map(|(thz, _)| *thz).fold(f64::NEG_INFINITY, f64::max);
    let mut nodes = vec![low];
    for (place, node) in NODES.into_iter().enumerate() {
        let next = NODES.get(place + 1).copied().unwrap_or(f64::INFINITY).min(high);
        let before = nodes.last().copied().unwrap_or(low);
        let is_inside = low + CLOSE < node && node < high - CLOSE;
        if is_inside && seen.iter().any(|(thz, _)| before < *thz && *thz < next) {
            nodes.push(node);
        }
    }
    if high > low {
        nodes.push(high);
    }
    nodes
}

/// Values at the nodes, by the normal equations with a trace of damping.
fn least_squares(seen: &[(f64, f64)]) -> Option<Vec<f64>> {
    let nodes = nodes(seen);
    let hats: Vec<Curve> = (0..nodes.len())
        .map(|own| Curve::new(nodes.iter().enumerate().map(|(i, x)| (*x, if i == own { 1.0 } else { 0.0 }))))
        .collect::<Option<_>>()?;
    let size = nodes.len();
    let mut rows = vec![vec![0.0; size + 1]; size];
    for (thz, db) in seen {
        let values: Vec<f64> = hats.iter().map(|hat| hat.at(*thz)).collect();
        for (row, value) in rows.iter_mut().zip(&values) {
            for (cell, other) in row.iter_mut().zip(values.iter().chain([db])) {
                *cell += value * other;
            }
        }
    }
    for (place, row) in rows.iter_mut().enumerate() {
        row[place] += 1e-9;
    }
    Some(solve(rows))
}

/// Gauss's elimination of a positive definite system, the right-hand side last in each row.
fn solve(mut rows: Vec<Vec<f64>>) -> Vec<f64> {
    let size = rows.len();
    for pivot in 0..size {
        let top = rows[pivot].clone();
        for row in rows.iter_mut().skip(pivot + 1) {
            let factor = row[pivot] / top[pivot];
            row.iter_mut().zip(&top).for_each(|(cell, above)| *cell -= factor * above);
        }
    }
    let mut solution = vec![0.0; size];
    for place in (0..size).rev() {
        let known: f64 = (place + 1..size).map(|other| rows[place][other] * solution[other]).sum();
        solution[place] = (rows[place][size] - known) / rows[place][place];
    }
    solution
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fit_finds_the_kappa_that_made_the_spectrum() {
        let truth = Curve::new([(0.0, -3.0), (3.0, -2.0), (8.0, -4.0)]).expect("points");
        let fibre = Fibre { kappa_db: truth.clone(), ..Fibre::g652d() };
        let spectrum: Vec<(f64, f64)> = (1500..1625)
            .filter(|nm| *nm != 1550)
            .map(|nm| (f64::from(nm), fibre.raman_per_km_nm(1550.0, f64::from(nm), 300.0)))
            .collect();
        let fit = fit_kappa(&Fibre::g652d(), 1550.0, &spectrum, 300.0).expect("enough points");
        for thz in [0.5, 1.0, 2.0, 4.0, 6.0, 8.0] {
            let (found, made) = (fit.kappa_db.at(thz), truth.at(thz));
            assert!((found - made).abs() < 0.05, "{thz} THz: {found} against {made} dB");
        }
        let [low, high] = fit.kappa_db.ends();
        let seen = |nm: f64| (nm_of(1550.0) - nm_of(nm)).abs();
        assert!(
            (low - seen(1552.0)).abs() < 0.15 && (high - seen(1624.0)).abs() < 1e-9,
            "{low} to {high} THz, as measured"
        );
        assert!(fit.spread_db < 0.05 && fit.mean_db.abs() < 0.05, "{} ± {}", fit.mean_db, fit.spread_db);
        assert_eq!(fit_kappa(&Fibre::g652d(), 1550.0, &spectrum[..2], 300.0), None, "too few");
    }
}
