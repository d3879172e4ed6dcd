//! Where a value of a scenario stands in its text, and which name was meant.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The line that holds a byte, from 1.
pub(super) fn line_of(text: &str, byte: usize) -> usize {
    text[..byte.min(text.len())].matches('\n').count() + 1
}

/// The line on which a field's value stands; that of its section where the text leaves it out.
pub(super) fn line_with(text: &str, field: &str) -> Option<usize> {
    let table = DeTable::parse(text).ok()?;
    let mut keys = field.split('.');
    let mut value = table.get_ref().get(keys.next()?)?;
    for key in keys {
        match below(value, key) {
            Some(found) => value = found,
            None => break,
        }
    }
    Some(line_of(text, value.span().start))
}

/// The field whose value spans some bytes of a text.
pub(super) fn field_at(text: &str, bytes: &Range<usize>) -> Option<String> {
    let table = DeTable::parse(text).ok()?;
    within(table.get_ref(), bytes)
}

fn within(table: &DeTable<'_>, bytes: &Range<usize>) -> Option<String> {
    table.iter().find_map(|(key, value)| {
        let name = key.get_ref();
        match value.get_ref() {
            // The deepest value that holds the bytes, or one below a header elsewhere.
            DeValue::Table(table) => within(table, bytes).map(|rest| format!("{name}.{rest}")),
            DeValue::Array(items) => items
                .iter()
                .enumerate()
                .find_map(|(place, item)| match item.get_ref() {
                    DeValue::Table(table) => {
                        within(table, bytes).map(|rest| format!("{name}.{place}.{rest}"))
                    }
                    _ => None,
                })
                .or_else(|| holds(value, bytes).then(|| name.to_string())),
            _ => holds(value, bytes).then(|| name.to_string()),
        }
    })
}

fn holds(value: &Spanned<DeValue<'_>>, bytes: &Range<usize>) -> bool {
    value.span().start <= bytes.start && bytes.end <= value.span().end
}

fn below<'a, 'i>(value: &'a Spanned<DeValue<'i>>, key: &str) -> Option<&'a Spanned<DeValue<'i>>> {
    match value.get_ref() {
        DeValue::Table(table) => table.get(key),
        DeValue::Array(items) => key.parse::<usize>().ok().and_then(|place| items.get(place)),
        _ => None,
    }
}

/// What a message of serde's about an unknown name should have said besides: the known name next to it.
pub(super) fn suggestion(message: &str) -> Option<&str> {
    let mut words = message.split('`').skip(1).step_by(2);
    let given = message.starts_with("unknown").then(|| words.next()).flatten()?;
    nearest(given, words)
}

/// The name that was meant, if one is near enough.
pub(super) fn nearest<'a>(given: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let given = given.to_lowercase();
    let distance = |name: &&str| strsim::osa_distance(&given, &name.to_lowercase());
    names.filter(|name| distance(name) <= name.len() / 3).min_by_key(distance)
}

/// All values of a table by section and key.
pub(super) fn paths(table: &toml::Table) -> Vec<String> {
    let mut found = Vec::new();
    for (key, value) in table {
        match value {
            toml::Value::Table(table) => {
                found.extend(paths(table).into_iter().map(|rest| format!("{key}.{rest}")));
            }
            _ => found.push(key.clone()),
        }
    }
    found
}
