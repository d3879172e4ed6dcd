//! A curve of measured points, straight in between and constant outside.

/// Points of rising abscissa.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    x: Vec<f64>,
    y: Vec<f64>,
}

impl Curve {
    /// A curve through points, which are sorted first; `None` without a point, or if a number is not finite.
    #[must_use]
    pub fn new(points: impl IntoIterator<Item = (f64, f64)>) -> Option<Self> {
        let mut points: Vec<(f64, f64)> = points.into_iter().collect();
        if points.is_empty() || points.iter().any(|(x, y)| !x.is_finite() || !y.is_finite()) {
            return None;
        }
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (x, y) = points.into_iter().unzip();
        Some(Self { x, y })
    }

    /// The curve in two columns of a table with a heading and with comments behind `#`; `None` if a cell
    /// is no number.
    #[must_use]
    pub fn from_csv(text: &str, x_column: usize, y_column: usize) -> Option<Self> {
        let rows = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let cell = |line: &str, column: usize| line.split(',').nth(column)?.trim().parse::<f64>().ok();
        let points: Option<Vec<_>> =
            rows.skip(1).map(|line| Some((cell(line, x_column)?, cell(line, y_column)?))).collect();
        Self::new(points?)
    }

    /// The first and the last abscissa.
    #[must_use]
    pub fn ends(&self) -> [f64; 2] {
        // A curve has a point.
        [self.x[0], self.x[self.x.len() - 1]]
    }

    /// The value at an abscissa; beyond the ends, that of the end.
    #[must_use]
    pub fn at(&self, x: f64) -> f64 {
        let above = self.x.partition_point(|point| *point <= x);
        if above == 0 {
            return self.y[0];
        }
        if above == self.x.len() {
            return self.y[above - 1];
        }
        let share = (x - self.x[above - 1]) / (self.x[above] - self.x[above - 1]);
        self.y[above - 1] + share * (self.y[above] - self.y[above - 1])
    }

    /// The points.
    pub fn points(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        self.x.iter().copied().zip(self.y.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_is_straight_between_its_points_and_flat_outside() {
        let curve = Curve::from_csv("# source\nx,y,z\n2,0,10\n\n1,0,5\n", 0, 2).expect("a table");
        for (x, y) in [(0.0, 5.0), (1.0, 5.0), (1.5, 7.5), (2.0, 10.0), (3.0, 10.0)] {
            assert!((curve.at(x) - y).abs() < 1e-12, "at {x}: {}", curve.at(x));
        }
        assert_eq!(Curve::from_csv("x,y\n1,a\n", 0, 1), None, "no number");
        assert_eq!(Curve::new([]), None, "no point");
    }
}
