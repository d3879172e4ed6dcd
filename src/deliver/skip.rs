//! Cisco's Secure Key Integration Protocol (draft-cisco-skip-02) on the same pools: a router's system
//! ID is its SAE ID. The initiator is the master, the responder the slave.

use serde_json::json;
use zeroize::Zeroizing;

use super::keys::{Key, Unavailable, Want};
use super::kme::{Kme, Method, Reply, Request};
use super::metrics::Call;
use super::url;
use crate::random::{Draw, OperatingSystem, Purpose, RandomSource};

/// Bits of entropy in one answer, at most.
const MOST_ENTROPY_BITS: u32 = 65_536;

/// Answers `/capabilities`, `/key`, `/key/{id}` and `/entropy` for the application `sae`.
pub(super) fn answer(kme: &Kme, request: Request<'_>, (sae, segments): (&str, &[&str])) -> Reply {
    if request.method != Method::Get {
        return Reply::error(405, "SKIP takes GET", &[]);
    }
    let reply = match segments {
        ["capabilities"] => Ok(capabilities(kme, sae)),
        ["key"] => new_key(kme, request, sae),
        ["key", id] => key_by_id(kme, request, (sae, id)),
        _ => entropy(request),
    };
    reply.unwrap_or_else(|error| error)
}

fn capabilities(kme: &Kme, sae: &str) -> Reply {
    let initiates = kme.pairs.iter().filter(|pair| pair.master == sae && pair.master_kme == kme.id);
    let responds = kme.pairs.iter().filter(|pair| pair.slave == sae && pair.slave_kme == kme.id);
    let mut peers: Vec<&str> =
        initiates.map(|pair| &*pair.slave).chain(responds.map(|pair| &*pair.master)).collect();
    peers.sort_unstable();
    peers.dedup();
    let value = json!({
        "entropy": true,
        "key": true,
        "algorithm": "QKD",
        "localSystemID": sae,
        "remoteSystemID": peers,
    });
    Reply::json(200, &value)
}

fn remote(request: Request<'_>) -> Result<String, Reply> {
    let given = url::parameter(request.query, "remoteSystemID").flatten();
    given.ok_or_else(|| Reply::error(400, "remoteSystemID is missing", &[]))
}

fn bits(
    request: Request<'_>,
    name: &str,
    default: u32,
    range: std::ops::RangeInclusive<u32>,
) -> Result<u32, Reply> {
    let Some(given) = url::parameter(request.query, name) else { return Ok(default) };
    let number = given.and_then(|given| given.parse().ok());
    number.filter(|bits: &u32| bits.is_multiple_of(8) && range.contains(bits)).ok_or_else(|| {
        let message = format!("{name} is a multiple of 8 from {} to {}", range.start(), range.end());
        Reply::error(400, &message, &[])
    })
}

fn new_key(kme: &Kme, request: Request<'_>, sae: &str) -> Result<Reply, Reply> {
    let remote = remote(request)?;
    let unknown = || Reply::error(400, "no keys are shared with this remoteSystemID", &[]);
    let pair = kme.as_master(sae, &remote).ok_or_else(unknown)?;
    let limits = &kme.limits;
    let size =
        bits(request, "size", limits.key_size_bits, limits.min_key_size_bits..=limits.max_key_size_bits)?;
    let want = Want { number: 1, key_bytes: (size / 8) as usize };
    let keys = kme.keys.reserve(pair, want).map_err(|error| unavailable(&error))?;
    kme.metrics().count_keys(pair, Call::Reserve, keys.len());
    Ok(written(&keys))
}

fn key_by_id(kme: &Kme, request: Request<'_>, (sae, id): (&str, &str)) -> Result<Reply, Reply> {
    let remote = remote(request)?;
    let unknown = || Reply::error(400, "no keys are shared with this remoteSystemID", &[]);
    let pair = kme.as_slave(sae, &remote).ok_or_else(unknown)?;
    let id = id.parse().map_err(|_| Reply::error(400, "keyId is malformed", &[]))?;
    let keys = kme.keys.collect(pair, &[id]).map_err(|error| unavailable(&error))?;
    kme.metrics().count_keys(pair, Call::Collect, keys.len());
    Ok(written(&keys))
}

/// Random bits that are no key: nobody else gets them.
fn entropy(request: Request<'_>) -> Result<Reply, Reply> {
    let size = bits(request, "minentropy", 256, 8..=MOST_ENTROPY_BITS)?;
    let mut bytes = Zeroizing::new(vec![0; (size / 8) as usize]);
    // The operating system's generator ignores what a draw is for.
    let draw = Draw { block: 0, purpose: Purpose::KeyBits, index: 0 };
    OperatingSystem
        .draw(draw, &mut bytes)
        .map_err(|_| Reply::error(503, "the random generator is not available", &[]))?;
    let mut text = Zeroizing::new(b"{\"randomStr\":\"".to_vec());
    push_hex(&mut text, &bytes);
    text.extend_from_slice(format!("\",\"minentropy\":{size}}}").as_bytes());
    Ok(Reply { status: 200, body: text })
}

fn unavailable(error: &Unavailable) -> Reply {
    match error {
        Unavailable::NotFound => Reply::error(400, "no such key", &[]),
        Unavailable::Short { .. } => Reply::error(503, "not enough keys are stored; ask again later", &[]),
        Unavailable::Failed { .. } => Reply::error(500, "key data access error", &[]),
    }
}

fn written(keys: &[Key]) -> Reply {
    let mut text = Zeroizing::new(Vec::new());
    for key in keys {
        text.reserve(key.bytes.len() * 2 + 80);
        let id = key.id.to_string().replace('-', "");
        text.extend_from_slice(format!("{{\"keyId\":\"{id}\",\"key\":\"").as_bytes());
        push_hex(&mut text, &key.bytes);
        text.extend_from_slice(b"\"}");
    }
    Reply { status: 200, body: text }
}

/// Appends hexadecimal digits by arithmetic: no table is indexed with key.
fn push_hex(text: &mut Vec<u8>, bytes: &[u8]) {
    text.reserve(2 * bytes.len());
    for nibble in bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]) {
        // 39 more for a to f: the sign of 9 − nibble chooses.
        let letter = 9u8.wrapping_sub(nibble) >> 7;
        text.push(b'0' + nibble + 39 * letter);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::Value;

    use super::super::keys::Pair;
    use super::super::kme::Limits;
    use super::super::memory::{Here, Memory};
    use super::*;

    fn kme() -> Kme {
        let memory = Memory::new(&[Here { master: true, slave: true }], 1 << 20);
        memory.add(0, 1, Zeroizing::new((0..=255).collect()));
        let pair = Pair {
            master: "r1".into(),
            slave: "r2".into(),
            master_kme: "kme".into(),
            slave_kme: "kme".into(),
        };
        Kme::new("kme", vec![pair], Limits::default(), Arc::new(memory)).expect("a good configuration")
    }

    fn ask(kme: &Kme, sae: &str, what: &str) -> (u16, Value) {
        let (path, query) = what.split_once('?').unwrap_or((what, ""));
        let reply = kme.answer(Request { method: Method::Get, path, query, body: b"", sae: Some(sae) });
        (reply.status, serde_json::from_slice(&reply.body).expect("every body is JSON"))
    }

    #[test]
    fn routers_get_the_same_key_once() {
        let kme = kme();
        let (code, key) = ask(&kme, "r1", "/key?remoteSystemID=r2&size=128");
        assert_eq!((code, key["key"].as_str()), (200, Some("000102030405060708090a0b0c0d0e0f")), "{key}");
        let by_id = format!("/key/{}?remoteSystemID=r1", key["keyId"].as_str().expect("an ID"));
        assert_eq!(ask(&kme, "r2", &by_id), (200, key), "the responder's copy");
        assert_eq!(ask(&kme, "r2", &by_id).0, 400, "once");
    }

    #[test]
    fn capabilities_and_entropy_are_told() {
        let kme = kme();
        let (_, told) = ask(&kme, "r2", "/capabilities");
        assert_eq!(told["remoteSystemID"], json!(["r1"]), "{told}");
        let (code, random) = ask(&kme, "r1", "/entropy?minentropy=128");
        assert_eq!((code, random["randomStr"].as_str().map(str::len)), (200, Some(32)), "{random}");
        for (sae, wrong) in [
            ("r1", "/key"),
            ("r1", "/key?remoteSystemID=r3"),
            ("r1", "/key?remoteSystemID=r2&size=9"),
            ("r1", "/entropy?minentropy=0"),
            ("r2", "/key/1?remoteSystemID=r1"),
        ] {
            assert_eq!(ask(&kme, sae, wrong).0, 400, "{wrong}");
        }
    }
}
