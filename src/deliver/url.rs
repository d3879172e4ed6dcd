//! Paths and queries of requests: percent decoding, bounded.

/// Decodes `%41` and, in queries, `+`. `None` if it is no UTF-8 or a `%` stands alone.
pub(super) fn decoded(text: &str, plus: char) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let (high, low) = (digit(rest.next())?, digit(rest.next())?);
                u8::try_from(high << 4 | low).ok()?
            }
            b'+' => u8::try_from(plus).ok()?,
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

/// The value of a query's parameter: the last one, as most servers take it.
pub(super) fn parameter(query: &str, name: &str) -> Option<Option<String>> {
    let mut pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.rfind(|(own, _)| decoded(own, ' ').as_deref() == Some(name)).map(|(_, value)| decoded(value, ' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_the_url() {
        assert_eq!(decoded("sae%2Falice%20%C3%A9+", '+').as_deref(), Some("sae/alice é+"), "in a path");
        for wrong in ["%", "%4", "%zz", "%ff"] {
            assert_eq!(decoded(wrong, '+'), None, "{wrong}");
        }
        assert_eq!(parameter("a=1&number=2&number=3+4", "number"), Some(Some("3 4".into())), "the last");
        assert_eq!(parameter("a=1&b", "b"), Some(Some(String::new())), "without a value");
        assert_eq!(parameter("a=1", "number"), None, "not there");
    }
}
