//! A first look at recorded quadratures: whether they are what they should be.
//!
//! A key must not come of data that the proof does not speak of. What a look can find is said before anything is
//! disclosed: values that are no numbers, a receiver that saturated, offsets, symbols that are not Gaussian,
//! quadratures that are swapped, turned or of another sign, sides that do not belong together.

use keystill::cv::recorded::Recorded;
use keystill::stage::Abort;
use rayon::prelude::*;

/// Quadratures that are looked at together.
const PIECE: usize = 1 << 18;
/// A Gaussian has 3.
const KURTOSIS: std::ops::Range<f64> = 2.5..3.5;
/// Standard errors beyond which chance is out of the question.
const CERTAIN: f64 = 6.0;

/// Sums over one side's quadratures.
#[derive(Clone, Copy, Debug, Default)]
struct Look {
    count: u64,
    sum: f64,
    squares: f64,
    fourths: f64,
    largest: f32,
    at_largest: u64,
    /// Where the first value stands that is no number.
    no_number: Option<usize>,
}

impl Look {
    fn at(recorded: &Recorded<'_>) -> Self {
        let all = recorded.quadratures();
        let pieces: Vec<Self> = (0..all.div_ceil(PIECE))
            .into_par_iter()
            .map(|piece| Self::at_piece(recorded, piece * PIECE, all.min((piece + 1) * PIECE)))
            .collect();
        // In order, so that no number of threads changes a sum.
        pieces.into_iter().fold(Self::default(), Self::join)
    }

    fn at_piece(recorded: &Recorded<'_>, first: usize, end: usize) -> Self {
        let mut look = Self { count: (end - first) as u64, ..Self::default() };
        for (place, value) in recorded.read(first..end).enumerate() {
            if !value.is_finite() {
                look.no_number.get_or_insert(first + place);
                continue;
            }
            let square = f64::from(value) * f64::from(value);
            look.sum += f64::from(value);
            look.squares += square;
            look.fourths += square * square;
            if value.abs() > look.largest {
                (look.largest, look.at_largest) = (value.abs(), 0);
            }
            look.at_largest += u64::from(value.abs() >= look.largest);
        }
        look
    }

    fn join(self, other: Self) -> Self {
        let largest = self.largest.max(other.largest);
        let at = |look: Self| if look.largest < largest { 0 } else { look.at_largest };
        Self {
            count: self.count + other.count,
            sum: self.sum + other.sum,
            squares: self.squares + other.squares,
            fourths: self.fourths + other.fourths,
            largest,
            at_largest: at(self) + at(other),
            no_number: self.no_number.or(other.no_number),
        }
    }

    fn mean_square(&self) -> f64 {
        self.squares / self.count as f64
    }

    fn judge(&self, whose: &str) -> Result<(), Abort> {
        let count = self.count as f64;
        if let Some(place) = self.no_number {
            let (symbol, quadrature) = (place / 2, ["x", "p"][place % 2]);
            return refuse(format!("{whose}: {quadrature} of symbol {symbol} is not a number"));
        }
        if self.squares <= 0.0 {
            return refuse(format!("{whose}: all values are 0"));
        }
        if self.at_largest as f64 > 5.0 + 1e-5 * count {
            return refuse(format!(
                "{whose}: {} values are ±{}, the largest there is: the receiver or its converter saturated",
                self.at_largest, self.largest
            ));
        }
        let (mean, mean_square) = (self.sum / count, self.mean_square());
        if mean * mean > (1e-3 + CERTAIN * CERTAIN / count) * mean_square {
            return refuse(format!("{whose}: the mean is {mean:.4}, not 0: take the offset off"));
        }
        let kurtosis = self.fourths / count / (mean_square * mean_square);
        if count > 1e4 && !KURTOSIS.contains(&kurtosis) {
            return refuse(format!(
                "{whose}: a kurtosis of {kurtosis:.2}, where Gaussian values have 3: modulation or receiver is not linear"
            ));
        }
        Ok(())
    }
}

/// Looks at both sides. Returns the mean squares of a quadrature, Alice's and Bob's.
///
/// # Errors
/// [`Abort::Unusable`] with what is wrong.
pub(super) fn look(alice: &Recorded<'_>, bob: &Recorded<'_>) -> Result<(f64, f64), Abort> {
    let (sent, found) = (Look::at(alice), Look::at(bob));
    sent.judge("Alice's file")?;
    found.judge("Bob's file")?;
    aligned(alice, bob)?;
    Ok((sent.mean_square(), found.mean_square()))
}

/// Whether x belongs to x and p to p, judged on the first symbols.
fn aligned(alice: &Recorded<'_>, bob: &Recorded<'_>) -> Result<(), Abort> {
    let symbols = alice.symbols().min(PIECE);
    // Σ a_i·b_j by quadratures i, j, and the squares.
    let (mut cross, mut sent, mut found) = ([[0.0; 2]; 2], [0.0; 2], [0.0; 2]);
    let pairs = |recorded: &Recorded<'_>| recorded.read(0..2 * symbols).collect::<Vec<f32>>();
    for (a, b) in pairs(alice).as_chunks::<2>().0.iter().zip(pairs(bob).as_chunks::<2>().0) {
        for i in 0..2 {
            sent[i] += f64::from(a[i]) * f64::from(a[i]);
            found[i] += f64::from(b[i]) * f64::from(b[i]);
            for j in 0..2 {
                cross[i][j] += f64::from(a[i]) * f64::from(b[j]);
            }
        }
    }
    // In standard errors of no correlation.
    let root = libm::sqrt(symbols as f64);
    let found = |i: usize, j: usize| cross[i][j] / libm::sqrt(sent[i] * found[j]) * root;
    let [xx, xp, px, pp] = [found(0, 0), found(0, 1), found(1, 0), found(1, 1)];
    let crossed = xp.abs().max(px.abs());
    if crossed > CERTAIN && crossed > 3.0 * xx.abs().max(pp.abs()) {
        return refuse("Alice's x belongs to Bob's p: the quadratures are swapped".to_owned());
    }
    if xx.min(pp) < -CERTAIN {
        let which = if xx < pp { "x" } else { "p" };
        return refuse(format!("{which} of the two sides has opposite signs"));
    }
    let turned = libm::atan2(xp - px, xx + pp);
    if (xp - px).abs() > 1.5 * CERTAIN && turned.abs() > 0.2 {
        return refuse(format!("the sides' phases differ by {turned:.2} rad: the carrier was not recovered"));
    }
    if xx + pp < 1.5 * CERTAIN {
        return refuse(
            "the two sides' symbols are not correlated: not aligned, or not of one run".to_owned(),
        );
    }
    if xx.min(pp) < 0.3 * xx.max(pp) - CERTAIN {
        let which = if xx < pp { "x" } else { "p" };
        return refuse(format!("{which} is much less correlated than the other quadrature"));
    }
    Ok(())
}

fn refuse<T>(reason: String) -> Result<T, Abort> {
    Err(Abort::Unusable { reason })
}
