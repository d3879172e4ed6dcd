//! Two charts side by side as SVG: a quality on the left, a speed on the right.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::coord::ranged1d::ValueFormatter;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use super::published::Published;

/// Width and height of the picture in pixels.
const SIZE: (u32, u32) = (1180, 470);
/// Colours of ours, told apart by whoever sees fewer.
const OURS: [RGBColor; 4] =
    [RGBColor(0, 90, 181), RGBColor(200, 60, 20), RGBColor(20, 130, 90), RGBColor(120, 120, 120)];
const GREY: RGBColor = RGBColor(90, 90, 90);

/// A line of ours.
#[derive(Clone, Debug)]
pub(super) struct Series {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
    /// Computed, not measured: a thin line without marks.
    pub(super) theory: bool,
}

/// How the values of an axis are spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scale {
    Linear,
    Logarithmic,
}

/// One chart.
#[derive(Clone, Debug)]
pub(super) struct Chart {
    pub(super) title: String,
    pub(super) x_name: &'static str,
    pub(super) x: Range<f64>,
    pub(super) y: Range<f64>,
    pub(super) scale: Scale,
    pub(super) ours: Vec<Series>,
    pub(super) published: &'static [Published],
}

/// Draws both charts into one SVG.
///
/// # Errors
/// Whatever the drawing says.
pub(super) fn draw(left: &Chart, right: &Chart) -> anyhow::Result<String> {
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let halves = root.split_evenly((1, 2));
        for (area, chart) in halves.iter().zip([left, right]) {
            chart.draw(area)?;
        }
        root.present()?;
    }
    Ok(text)
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

impl Chart {
    fn draw(&self, area: &Area<'_>) -> anyhow::Result<()> {
        let mut builder = ChartBuilder::on(area);
        builder
            .caption(&self.title, ("sans-serif", 17))
            .margin(12)
            .x_label_area_size(42)
            .y_label_area_size(52);
        match self.scale {
            Scale::Linear => {
                let mut context = builder.build_cartesian_2d(self.x.clone(), self.y.clone())?;
                self.mesh(&mut context, |value| format!("{value:.2}"))?;
                self.fill(&mut context)
            }
            Scale::Logarithmic => {
                let mut context = builder.build_cartesian_2d(self.x.clone(), self.y.clone().log_scale())?;
                self.mesh(&mut context, |value| format!("{value:.0}"))?;
                self.fill(&mut context)
            }
        }
    }

    fn mesh<Y>(
        &self,
        context: &mut ChartContext<'_, SVGBackend<'_>, Cartesian2d<RangedCoordf64, Y>>,
        label: impl Fn(&f64) -> String,
    ) -> anyhow::Result<()>
    where
        Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
    {
        let whole = self.x.end - self.x.start > 1.0;
        let x_label =
            |value: &f64| if whole { format!("{value:.0}") } else { format!("{:.0} %", 100.0 * value) };
        context
            .configure_mesh()
            .max_light_lines(1)
            .light_line_style(WHITE)
            .bold_line_style(BLACK.mix(0.12))
            .x_desc(self.x_name)
            .x_labels(12)
            .x_label_formatter(&x_label)
            .y_label_formatter(&label)
            .label_style(("sans-serif", 13))
            .draw()?;
        Ok(())
    }

    fn fill<'area, 'text: 'area, Y>(
        &self,
        context: &mut ChartContext<'area, SVGBackend<'text>, Cartesian2d<RangedCoordf64, Y>>,
    ) -> anyhow::Result<()>
    where
        Y: Ranged<ValueType = f64>,
    {
        for (number, published) in self.published.iter().enumerate() {
            self.theirs(context, published, number)?;
        }
        for (series, colour) in self.ours.iter().zip(OURS) {
            let (width, mark) = if series.theory { (1, 0) } else { (3, 4) };
            let points = series.points.iter().copied().filter(|(_, value)| self.y.contains(value));
            let points: Vec<(f64, f64)> = points.collect();
            let line = LineSeries::new(points.iter().copied(), colour.stroke_width(width));
            let key = move |(x, y)| PathElement::new(vec![(x, y), (x + 22, y)], colour.stroke_width(width));
            context.draw_series(line)?.label(&series.name).legend(key);
            if mark > 0 {
                context.draw_series(points.into_iter().map(|at| Circle::new(at, mark, colour.filled())))?;
            }
        }
        context
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .background_style(WHITE.mix(0.85))
            .border_style(BLACK.mix(0.2))
            .label_font(("sans-serif", 12))
            .draw()?;
        Ok(())
    }

    fn theirs<Y>(
        &self,
        context: &mut ChartContext<'_, SVGBackend<'_>, Cartesian2d<RangedCoordf64, Y>>,
        published: &Published,
        number: usize,
    ) -> anyhow::Result<()>
    where
        Y: Ranged<ValueType = f64>,
    {
        // Shapes, not colours, tell the others apart; levels are dashed.
        let name = published.name;
        if let Some(value) = published.level {
            let line = [(self.x.start, value), (self.x.end, value)];
            let dash = [9, 5, 2][number % 3];
            let series = DashedLineSeries::new(line, dash, 4, GREY.stroke_width(1));
            let key = |(x, y)| PathElement::new(vec![(x, y), (x + 9, y)], GREY.stroke_width(1));
            context.draw_series(series)?.label(name).legend(key);
            return Ok(());
        }
        let points = published.points.iter().copied().filter(|(_, value)| self.y.contains(value));
        let centre = |(x, y): (i32, i32)| (x + 11, y);
        match number % 4 {
            0 => {
                let marks = points.map(|at| TriangleMarker::new(at, 6, GREY.filled()));
                let key = move |at| TriangleMarker::new(centre(at), 6, GREY.filled());
                context.draw_series(marks)?.label(name).legend(key);
            }
            1 => {
                let marks = points.map(|at| Cross::new(at, 5, GREY.stroke_width(2)));
                let key = move |at| Cross::new(centre(at), 5, GREY.stroke_width(2));
                context.draw_series(marks)?.label(name).legend(key);
            }
            2 => {
                let marks = points.map(|at| Circle::new(at, 4, GREY.stroke_width(1)));
                let key = move |at| Circle::new(centre(at), 4, GREY.stroke_width(1));
                context.draw_series(marks)?.label(name).legend(key);
            }
            _ => {
                let marks = points.map(|at| TriangleMarker::new(at, -6, GREY.filled()));
                let key = move |at| TriangleMarker::new(centre(at), -6, GREY.filled());
                context.draw_series(marks)?.label(name).legend(key);
            }
        }
        Ok(())
    }
}
