//! Fields of a JSON object, with errors that name them.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::{Bound, RangeBounds};

use anyhow::{Context, anyhow, bail, ensure};
use serde_json::{Map, Value};

/// Inputs by name.
pub(super) struct Fields<'a> {
    given: &'a Map<String, Value>,
    /// Names that were asked for, given or not.
    asked: RefCell<BTreeSet<String>>,
}

impl<'a> Fields<'a> {
    pub(super) fn new(map: &'a Map<String, Value>) -> Self {
        Self { given: map, asked: RefCell::default() }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| !value.is_null())
    }

    /// Refuses a field that nothing read and that looks like one which was looked for in vain: the formula
    /// took its default, and whoever wrote the field believes otherwise.
    pub(super) fn no_misspelling(&self) -> anyhow::Result<()> {
        let asked = self.asked.borrow();
        let unread = self.given.keys().filter(|name| !asked.contains(*name));
        for name in unread {
            if let Some(meant) =
                asked.iter().find(|meant| !self.given.contains_key(*meant) && alike(name, meant))
            {
                bail!("the field `{name}` is not read: did you mean `{meant}`?");
            }
        }
        Ok(())
    }

    /// A number within a range.
    pub(super) fn within(&self, name: &str, range: impl RangeBounds<f64>) -> anyhow::Result<f64> {
        let number = self.number(name)?;
        ensure!(range.contains(&number), "`{name}` must be {}, not {number:?}", in_words(&range));
        Ok(number)
    }

    /// A number from zero up.
    pub(super) fn not_negative(&self, name: &str) -> anyhow::Result<f64> {
        self.within(name, 0.0..)
    }

    /// A number above zero.
    pub(super) fn positive(&self, name: &str) -> anyhow::Result<f64> {
        self.within(name, (Bound::Excluded(0.0), Bound::Unbounded))
    }

    /// A share: above zero, at most one.
    pub(super) fn share(&self, name: &str) -> anyhow::Result<f64> {
        self.within(name, (Bound::Excluded(0.0), Bound::Included(1.0)))
    }

    /// A failure probability: strictly between zero and one.
    pub(super) fn epsilon(&self, name: &str) -> anyhow::Result<f64> {
        self.within(name, (Bound::Excluded(0.0), Bound::Excluded(1.0)))
    }

    /// Probabilities, none of them zero, that add up to one.
    pub(super) fn distribution<const N: usize>(&self, name: &str) -> anyhow::Result<[f64; N]> {
        let shares: [f64; N] = self.numbers(name)?;
        let sum: f64 = shares.iter().sum();
        ensure!(shares.iter().all(|share| *share > 0.0), "`{name}` must be above zero, not {shares:?}");
        ensure!((sum - 1.0).abs() < 1e-6, "`{name}` must add up to one, not {sum}");
        Ok(shares)
    }

    /// A number from zero up, or an interval of such.
    pub(super) fn not_negative_interval(&self, name: &str) -> anyhow::Result<[f64; 2]> {
        let [low, high] = self.interval(name)?;
        ensure!(0.0 <= low && low <= high, "`{name}` must rise from at least 0, not {low:?} to {high:?}");
        Ok([low, high])
    }

    /// One of these words.
    pub(super) fn choice(&self, name: &str, words: &[&'static str]) -> anyhow::Result<&'static str> {
        let given = self.text(name)?.ok_or_else(|| self.missing(name))?;
        let found = words.iter().find(|word| **word == given);
        found.copied().with_context(|| format!("`{name}` must be one of {}, not {given}", words.join(", ")))
    }

    /// A finite number.
    pub(super) fn number(&self, name: &str) -> anyhow::Result<f64> {
        number(self.field(name)?).with_context(|| format!("`{name}`"))
    }

    /// A number, or what stands for it where it is absent.
    pub(super) fn number_or(&self, name: &str, absent: f64) -> anyhow::Result<f64> {
        if self.has(name) { self.number(name) } else { Ok(absent) }
    }

    /// A whole number from zero up; integers are read exactly, also beyond 2⁵³.
    pub(super) fn count(&self, name: &str) -> anyhow::Result<u64> {
        count(self.field(name)?).with_context(|| format!("`{name}`"))
    }

    pub(super) fn numbers<const N: usize>(&self, name: &str) -> anyhow::Result<[f64; N]> {
        self.list(name, number)
    }

    pub(super) fn counts<const N: usize>(&self, name: &str) -> anyhow::Result<[u64; N]> {
        self.list(name, count)
    }

    pub(super) fn text(&self, name: &str) -> anyhow::Result<Option<&'a str>> {
        match self.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => bail!("`{name}` must be a string, not {other}"),
        }
    }

    pub(super) fn flag(&self, name: &str) -> anyhow::Result<bool> {
        self.field(name)?.as_bool().with_context(|| format!("`{name}` must be true or false"))
    }

    /// A number, or an interval of two.
    pub(super) fn interval(&self, name: &str) -> anyhow::Result<[f64; 2]> {
        if self.field(name)?.is_array() {
            return self.numbers(name);
        }
        self.number(name).map(|value| [value, value])
    }

    fn get(&self, name: &str) -> Option<&'a Value> {
        self.asked.borrow_mut().insert(name.to_owned());
        self.given.get(name)
    }

    fn field(&self, name: &str) -> anyhow::Result<&'a Value> {
        self.get(name).ok_or_else(|| self.missing(name))
    }

    fn missing(&self, name: &str) -> anyhow::Error {
        match self.given.keys().find(|given| alike(given, name)) {
            Some(given) => anyhow!("the field `{name}` is missing: is it `{given}`?"),
            None => anyhow!("the field `{name}` is missing"),
        }
    }

    fn list<T: Copy, const N: usize>(
        &self,
        name: &str,
        parse: fn(&Value) -> anyhow::Result<T>,
    ) -> anyhow::Result<[T; N]> {
        let list = self.field(name)?.as_array().with_context(|| format!("`{name}` must be a list"))?;
        let parsed: Vec<T> =
            list.iter().map(parse).collect::<anyhow::Result<_>>().with_context(|| format!("`{name}`"))?;
        let found = parsed.len();
        parsed.try_into().map_err(|_| anyhow::anyhow!("`{name}` must have {N} entries, not {found}"))
    }
}

/// Whether one name may be the other misspelt: at most two letters apart. Short names differ by as much,
/// and what differs in the first letter is another count (`n_key`, `m_key`).
fn alike(given: &str, meant: &str) -> bool {
    let [ours, theirs] = [given, meant].map(str::to_lowercase);
    let same_start = ours.chars().next() == theirs.chars().next();
    same_start && meant.len() >= 5 && strsim::osa_distance(&ours, &theirs) <= 2
}

fn in_words(range: &impl RangeBounds<f64>) -> String {
    let low = match range.start_bound() {
        Bound::Included(low) => format!("at least {low}"),
        Bound::Excluded(low) => format!("above {low}"),
        Bound::Unbounded => return "a number".to_owned(),
    };
    match range.end_bound() {
        Bound::Included(high) => format!("{low} and at most {high}"),
        Bound::Excluded(high) => format!("{low} and below {high}"),
        Bound::Unbounded => low,
    }
}

fn number(value: &Value) -> anyhow::Result<f64> {
    let number = value.as_f64().with_context(|| format!("{value} is not a number"))?;
    ensure!(number.is_finite(), "{value} is not a finite number");
    Ok(number)
}

fn count(value: &Value) -> anyhow::Result<u64> {
    if let Some(count) = value.as_u64() {
        return Ok(count);
    }
    let number = number(value)?;
    ensure!((0.0..18_446_744_073_709_551_616.0).contains(&number), "{value} is not a count below 2⁶⁴");
    ensure!(number == libm::floor(number), "{value} is not a whole number");
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a whole number in range")]
    let whole = number as u64;
    Ok(whole)
}
