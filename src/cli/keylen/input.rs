//! Fields of a JSON object, with errors that name them.

use anyhow::{Context, bail, ensure};
use serde_json::{Map, Value};

/// Inputs by name.
pub(super) struct Fields<'a>(&'a Map<String, Value>);

impl<'a> Fields<'a> {
    pub(super) fn new(map: &'a Map<String, Value>) -> Self {
        Self(map)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|value| !value.is_null())
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
        match self.0.get(name) {
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

    fn field(&self, name: &str) -> anyhow::Result<&'a Value> {
        self.0.get(name).with_context(|| format!("the field `{name}` is missing"))
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
