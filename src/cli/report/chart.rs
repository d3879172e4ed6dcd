//! One value over the link's time, as inline SVG: a step a block, a band for its uncertainty, a dashed
//! line for what the model expected, a numbered line for each event and a shade while it lasts, a tick on the axis
//! for what was noticed.

use std::fmt::Write as _;

use super::record::Mark;

const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 210.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 16.0;
const BOTTOM: f64 = 30.0;
/// Pixels of a tick for what was noticed.
const TICK: f64 = 7.0;
/// Pixels that an event's number takes.
const MARK_WIDTH: f64 = 22.0;
/// So many values tell which of them are far from the others.
const LEAST_OF_MANY: usize = 5;
/// How many times the spread or the size of most values the axis may reach beyond them.
const MOST_BEYOND: f64 = 10.0;
/// Steps drawn, at most: neighbours are merged beyond it.
const MOST_STEPS: usize = 600;

/// A value that holds for a while.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Step {
    pub(crate) from_s: f64,
    pub(crate) to_s: f64,
    pub(crate) value: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

/// A value over the link's time.
#[derive(Debug)]
pub(crate) struct Chart<'a> {
    pub(crate) title: &'a str,
    pub(crate) unit: &'a str,
    /// The class that colours it.
    pub(crate) class: &'a str,
    pub(crate) steps: Vec<Step>,
    pub(crate) expected: Option<f64>,
    /// What was expected over time, when in s, instead of one value.
    pub(crate) course: Vec<(f64, f64)>,
    pub(crate) marks: &'a [Mark],
    /// When something was noticed, in s.
    pub(crate) noticed: Vec<f64>,
    /// The lowest value that the axis must show.
    pub(crate) floor: Option<f64>,
}

/// A linear map from values to pixels.
#[derive(Clone, Copy, Debug)]
struct Axis {
    from: f64,
    to: f64,
    start: f64,
    end: f64,
}

impl Axis {
    /// A pixel; what lies beyond an end of the axis is drawn at that end.
    fn at(self, value: f64) -> f64 {
        let place = self.start + (value - self.from) / (self.to - self.from) * (self.end - self.start);
        place.clamp(self.start.min(self.end), self.start.max(self.end))
    }
}

impl Chart<'_> {
    /// The chart as a figure with its caption.
    pub(crate) fn figure(&self) -> String {
        let steps = merged(&self.steps);
        let mut text = format!(
            "<figure><figcaption>{} <span>{}{}</span></figcaption>",
            self.title,
            self.unit,
            beyond(&steps)
        );
        let Some((x, y)) = self.axes(&steps) else {
            return text + "<p class=\"none\">no block measured it</p></figure>";
        };
        let _ = write!(
            text,
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\"><title>{}</title>",
            self.title,
            self.described(&steps)
        );
        text += &self.lasting(x);
        text += &self.grid(x, y);
        text += &self.expectation(x, y);
        text += &self.lines(&steps, x, y);
        text + "</svg></figure>"
    }

    fn described(&self, steps: &[Step]) -> String {
        let low = steps.iter().map(|step| step.value).fold(f64::INFINITY, f64::min);
        let high = steps.iter().map(|step| step.value).fold(f64::NEG_INFINITY, f64::max);
        let mean = steps.iter().map(|step| step.value).sum::<f64>() / steps.len().max(1) as f64;
        format!("{}: mean {}, from {} to {} {}", self.title, short(mean), short(low), short(high), self.unit)
    }

    /// The axes, unless there is nothing to draw.
    fn axes(&self, steps: &[Step]) -> Option<(Axis, Axis)> {
        let (first, last) = (steps.first()?, steps.last()?);
        let (least, most) = reach(steps);
        let within = steps.iter().filter(|step| (least..=most).contains(&step.value));
        let ends = within.flat_map(|step| [step.low.max(least), step.value, step.high.min(most)]);
        let expected = self.expected.filter(|_| self.course.is_empty());
        let shown = ends.chain(expected).chain(self.usual_course()).chain(self.floor);
        let (mut low, mut high) = shown
            .filter(|value| value.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        if low > high {
            return None;
        }
        let room = ((high - low) * 0.08).max(high.abs().max(1e-12) * 0.004);
        high += room;
        if self.floor != Some(low) {
            low -= room;
        }
        let x = Axis { from: first.from_s.min(0.0), to: last.to_s, start: LEFT, end: WIDTH - RIGHT };
        let y = Axis { from: low, to: high, start: HEIGHT - BOTTOM, end: TOP };
        Some((x, y))
    }

    fn grid(&self, x: Axis, y: Axis) -> String {
        let mut text = String::from("<g class=\"grid\">");
        for tick in ticks(y.from, y.to, 5) {
            let place = y.at(tick);
            let _ = write!(text, "<path d=\"M{LEFT} {place:.1}H{:.1}\"/>", WIDTH - RIGHT);
            let _ = write!(
                text,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 6.0,
                place + 4.0,
                short(tick)
            );
        }
        let (unit_s, unit) = time_unit(x.to);
        for (number, tick) in ticks(x.from / unit_s, x.to / unit_s, 6).into_iter().enumerate() {
            let place = x.at(tick * unit_s);
            // A narrow screen has room for every second one.
            let class = if number % 2 == 1 { " class=\"between\"" } else { "" };
            let _ = write!(
                text,
                "<text{class} x=\"{place:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{} {unit}</text>",
                HEIGHT - BOTTOM + 18.0,
                short(tick)
            );
        }
        let _ = write!(
            text,
            "<path class=\"axis\" d=\"M{LEFT} {0:.1}H{1:.1}\"/></g>",
            HEIGHT - BOTTOM,
            WIDTH - RIGHT
        );
        text
    }

    fn lines(&self, steps: &[Step], x: Axis, y: Axis) -> String {
        let mut text = format!("<g class=\"{}\">", self.class);
        if steps.iter().any(|step| step.high > step.low) {
            let mut band = String::new();
            for run in steps.chunk_by(joined) {
                let there = run.iter().map(|step| (step.from_s, step.to_s, step.high));
                let back = run.iter().rev().map(|step| (step.to_s, step.from_s, step.low));
                for (number, (from_s, to_s, value)) in there.chain(back).enumerate() {
                    let pen = if number == 0 { 'M' } else { 'L' };
                    let _ = write!(band, "{pen}{:.1} {:.1}H{:.1}", x.at(from_s), y.at(value), x.at(to_s));
                }
                band.push('Z');
            }
            let _ = write!(text, "<path class=\"band\" d=\"{band}\"/>");
        }
        let mut line = String::new();
        for run in steps.chunk_by(joined) {
            for (number, step) in run.iter().enumerate() {
                let pen = if number == 0 { 'M' } else { 'L' };
                let (from, to) = (x.at(step.from_s), x.at(step.to_s));
                let _ = write!(line, "{pen}{from:.1} {:.1}H{to:.1}", y.at(step.value));
            }
        }
        let _ = write!(text, "<path class=\"line\" d=\"{line}\"/></g>");
        for at_s in self.noticed.iter().filter(|at_s| **at_s <= x.to) {
            let (place, foot) = (x.at(*at_s), HEIGHT - BOTTOM);
            let _ = write!(text, "<path class=\"noticed\" d=\"M{place:.1} {foot:.1}v-{TICK}\"/>");
        }
        text + &self.events(x)
    }

    /// The ends of what was expected most of the time: within an outage it may be anything.
    fn usual_course(&self) -> impl Iterator<Item = f64> {
        let mut values: Vec<f64> = self.course.iter().map(|(_, value)| *value).collect();
        values.sort_by(f64::total_cmp);
        let tenth = values.len() / 10;
        [values.get(tenth).copied(), values.iter().rev().nth(tenth).copied()].into_iter().flatten()
    }

    /// What was expected: one value, or its course where that lies within the axes.
    fn expectation(&self, x: Axis, y: Axis) -> String {
        let mut line = String::new();
        if let Some(expected) = self.expected.filter(|_| self.course.is_empty()) {
            let _ = write!(line, "M{LEFT} {:.1}H{:.1}", y.at(expected), WIDTH - RIGHT);
        }
        let inside = |(at_s, value): &(f64, f64)| *at_s <= x.to && (y.from..=y.to).contains(value);
        for run in self.course.chunk_by(|one, next| inside(one) == inside(next)).filter(|run| inside(&run[0]))
        {
            for (number, (at_s, value)) in run.iter().enumerate() {
                let pen = if number == 0 { 'M' } else { 'L' };
                let _ = write!(line, "{pen}{:.1} {:.1}", x.at(*at_s), y.at(*value));
            }
        }
        if line.is_empty() { line } else { format!("<path class=\"expected\" d=\"{line}\"/>") }
    }

    /// A shade while an event lasts.
    fn lasting(&self, x: Axis) -> String {
        let shown = self.marks.iter().filter(|mark| mark.duration_s > 0.0 && mark.link_time_s <= x.to);
        shown.fold(String::new(), |mut text, mark| {
            let (from, to) = (x.at(mark.link_time_s), x.at(mark.link_time_s + mark.duration_s));
            let foot = HEIGHT - BOTTOM;
            let _ =
                write!(text, "<path class=\"lasting\" d=\"M{from:.1} {TOP}H{to:.1}V{foot:.1}H{from:.1}Z\"/>");
            text
        })
    }

    /// A line each, and a number where there is room for one; neighbours share theirs.
    fn events(&self, x: Axis) -> String {
        let shown = self.marks.iter().enumerate().filter(|(_, mark)| mark.link_time_s <= x.to);
        let places: Vec<(usize, f64)> =
            shown.map(|(number, mark)| (number + 1, x.at(mark.link_time_s))).collect();
        let mut text = String::new();
        for together in places.chunk_by(|one, next| next.1 - one.1 < MARK_WIDTH) {
            let (first, last) = (together[0], together[together.len() - 1]);
            text += "<g class=\"mark\">";
            for (_, place) in together {
                let _ = write!(text, "<path d=\"M{place:.1} {TOP}V{:.1}\"/>", HEIGHT - BOTTOM);
            }
            let numbers =
                if first.0 == last.0 { first.0.to_string() } else { format!("{}–{}", first.0, last.0) };
            let _ = write!(
                text,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{numbers}</text></g>",
                f64::midpoint(first.1, last.1),
                TOP - 4.0
            );
        }
        text
    }
}

/// Whether a step goes on where another ended: a block that is missing leaves a gap.
fn joined(one: &Step, next: &Step) -> bool {
    (next.from_s - one.to_s).abs() < 1e-6 * (1.0 + next.to_s - next.from_s)
}

/// The values that an axis reaches: a block in which a part failed may measure a million times what all others do,
/// and would leave nothing to see of them.
fn reach(steps: &[Step]) -> (f64, f64) {
    let mut values: Vec<f64> = steps.iter().map(|step| step.value).collect();
    if values.len() < LEAST_OF_MANY {
        return (f64::NEG_INFINITY, f64::INFINITY);
    }
    values.sort_by(f64::total_cmp);
    let tenth = values.len() / 10;
    let (low, middle, high) = (values[tenth], values[values.len() / 2], values[values.len() - 1 - tenth]);
    let more = MOST_BEYOND * (high - low).max(middle.abs());
    (low - more, high + more)
}

/// Words about values that are not within reach.
fn beyond(steps: &[Step]) -> String {
    let (least, most) = reach(steps);
    let outside: Vec<f64> =
        steps.iter().map(|step| step.value).filter(|value| !(least..=most).contains(value)).collect();
    let Some(farthest) = outside.iter().copied().max_by(|a, b| a.abs().total_cmp(&b.abs())) else {
        return String::new();
    };
    format!(" · {} beyond the axis, as far as {}", outside.len(), short(farthest))
}

/// Merges neighbours until few enough are left: their mean, within the band of all of them.
fn merged(steps: &[Step]) -> Vec<Step> {
    let group = steps.len().div_ceil(MOST_STEPS).max(1);
    steps
        .chunks(group)
        .map(|chunk| Step {
            from_s: chunk[0].from_s,
            to_s: chunk[chunk.len() - 1].to_s,
            value: chunk.iter().map(|step| step.value).sum::<f64>() / chunk.len() as f64,
            low: chunk.iter().map(|step| step.low).fold(f64::INFINITY, f64::min),
            high: chunk.iter().map(|step| step.high).fold(f64::NEG_INFINITY, f64::max),
        })
        .collect()
}

/// Round values between two others, about `count` of them.
fn ticks(from: f64, to: f64, count: u32) -> Vec<f64> {
    let rough = (to - from) / f64::from(count);
    if !(rough.is_finite() && rough > 0.0) {
        return Vec::new();
    }
    let power = 10f64.powf(rough.log10().floor());
    let step =
        [1.0, 2.0, 5.0, 10.0].into_iter().map(|digit| digit * power).find(|step| *step >= rough * 0.999);
    let step = step.unwrap_or(10.0 * power);
    let mut tick = (from / step - 1e-9).ceil() * step;
    let mut found = Vec::new();
    while tick <= to + step * 1e-9 && found.len() < 20 {
        // Adding steps leaves dust where zero is meant.
        found.push(if tick.abs() < step * 1e-9 { 0.0 } else { tick });
        tick += step;
    }
    found
}

fn time_unit(longest_s: f64) -> (f64, &'static str) {
    match longest_s {
        s if s > 3.0 * 3600.0 => (3600.0, "h"),
        s if s > 180.0 => (60.0, "min"),
        _ => (1.0, "s"),
    }
}

/// A number in few characters.
pub(crate) fn short(value: f64) -> String {
    let size = value.abs();
    let trimmed = |text: String| {
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
    };
    match size {
        _ if size == 0.0 => "0".into(),
        _ if size >= 1e9 => trimmed(format!("{:.2}", value / 1e9)) + " G",
        _ if size >= 1e6 => trimmed(format!("{:.2}", value / 1e6)) + " M",
        _ if size >= 1e3 => trimmed(format!("{:.2}", value / 1e3)) + " k",
        _ if size >= 1e-4 => {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 7 digits")]
            let digits = (3.0 - size.log10().floor()).clamp(0.0, 7.0) as usize;
            trimmed(format!("{value:.digits$}"))
        }
        _ => format!("{value:.1e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(count: u32) -> Vec<Step> {
        let step = |i| {
            let value = 0.03 + f64::from(i % 7) * 1e-3;
            Step { from_s: f64::from(i), to_s: f64::from(i + 1), value, low: value, high: value }
        };
        (0..count).map(step).collect()
    }

    fn chart(steps: Vec<Step>) -> Chart<'static> {
        Chart {
            title: "QBER",
            unit: "%",
            class: "bb84",
            steps,
            expected: Some(0.04),
            course: Vec::new(),
            marks: &[],
            noticed: Vec::new(),
            floor: None,
        }
    }

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(ticks(0.0, 10.0, 5), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0], "by twos");
        assert!(ticks(0.031, 0.039, 4).iter().all(|tick| (0.031..=0.039).contains(tick)), "inside");
        assert!(ticks(1.0, 1.0, 4).is_empty(), "no range, no ticks");
    }

    #[test]
    fn numbers_are_short() {
        let written = [0.0, 0.0382, 2_530_520.0, 1e-10, 12.0, -0.25].map(short);
        assert_eq!(written, ["0", "0.0382", "2.53 M", "1.0e-10", "12", "-0.25"], "few characters each");
    }

    #[test]
    fn many_blocks_make_no_long_line_and_a_missing_one_a_gap() {
        assert!(merged(&steps(10_000)).len() <= MOST_STEPS, "merged");
        let mut with_gap = steps(9);
        with_gap.remove(4);
        let svg = chart(with_gap).figure();
        let line = svg.split("class=\"line\" d=\"").nth(1).and_then(|rest| rest.split('"').next());
        assert_eq!(line.map(|line| line.matches('M').count()), Some(2), "two pieces: {line:?}");
    }

    #[test]
    fn a_gap_parts_the_band_too() {
        let mut with_gap = steps(9);
        with_gap.remove(4);
        for step in &mut with_gap {
            step.high += 1e-4;
        }
        let svg = chart(with_gap).figure();
        let band = svg.split("class=\"band\" d=\"").nth(1).and_then(|rest| rest.split('"').next());
        assert_eq!(band.map(|band| band.matches('Z').count()), Some(2), "two pieces: {band:?}");
    }

    #[test]
    fn a_block_that_failed_does_not_hide_the_others() {
        let mut failed = steps(20);
        failed[7].value = 170_000.0;
        let svg = chart(failed.clone()).figure();
        assert!(svg.contains("% · 1 beyond the axis, as far as 170 k"), "it is told: {svg}");
        assert!(svg.contains(">0.035</text>"), "the others' axis: {svg}");
        failed[7].value = 0.0;
        let svg = chart(failed).figure();
        assert!(
            svg.contains(">0</text>") && !svg.contains("beyond"),
            "nothing at all is shown as such: {svg}"
        );
    }

    #[test]
    fn what_was_expected_is_followed_but_for_outages() {
        let course: Vec<(f64, f64)> = (0..40)
            .map(|half| (f64::from(half) / 2.0, if (15..18).contains(&half) { 0.5 } else { 0.033 }))
            .collect();
        let svg = Chart { course, ..chart(steps(20)) }.figure();
        let line = svg.split("class=\"expected\" d=\"").nth(1).and_then(|rest| rest.split('"').next());
        let line = line.unwrap_or_default();
        assert_eq!((line.matches('M').count(), line.matches('L').count()), (2, 35), "two pieces: {line}");
        assert!(
            svg.contains(">0.036</text>") && !svg.contains(">0.1</text>"),
            "the axis is that of the rest: {svg}"
        );
    }

    #[test]
    fn events_at_one_time_share_a_number() {
        let at = |link_time_s, duration_s| Mark { link_time_s, duration_s, ..Mark::default() };
        let marks = [at(1.0, 0.0), at(10.0, 0.0), at(10.1, 5.0), at(19.0, 100.0)];
        let noticed = vec![3.0, 4.0, 21.0];
        let svg = Chart { marks: &marks, noticed, ..chart(steps(20)) }.figure();
        for number in [">1</text>", ">2–3</text>", ">4</text>"] {
            assert!(svg.contains(number), "{number}: {svg}");
        }
        assert_eq!(svg.matches("V180.0\"").count(), 4, "a line each: {svg}");
        assert_eq!(svg.matches("class=\"lasting\"").count(), 2, "a shade while two of them last: {svg}");
        let right = WIDTH - RIGHT;
        assert!(svg.contains(&format!("H{right:.1}V180.0H")), "to the axis' end, not beyond: {svg}");
        assert_eq!(svg.matches("class=\"noticed\"").count(), 2, "what was noticed in this time: {svg}");
    }

    #[test]
    fn one_block_is_drawn_and_none_is_said() {
        assert!(chart(steps(1)).figure().contains("class=\"line\""), "one step");
        let none = Chart { expected: None, ..chart(Vec::new()) };
        assert!(none.figure().contains("no block measured it"), "nothing to draw");
    }
}
