//! ETSI GS QKD 014 V1.1.1 (2019-02): Get status, Get key, Get key with key IDs.
//!
//! Sections are those of the standard. Where it leaves a choice: unknown fields are ignored, because
//! clients in the field send some; every error has the JSON body of section 6.5; multicast is not
//! offered (`max_SAE_ID_count` 0).

use base64ct::{Base64, Encoding};
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::keys::{Key, KeyId, Unavailable, Want};
use super::kme::{Kme, Method, Reply, Request};
use super::metrics::Call;
use super::url;

/// Answers `/api/v1/keys/{peer}/{call}` for the application `sae`.
pub(super) fn answer(kme: &Kme, request: Request<'_>, (sae, peer, call): (&str, &str, &str)) -> Reply {
    match (call, request.method) {
        ("status", Method::Get) => status(kme, sae, peer),
        ("enc_keys", Method::Get | Method::Post) => or_error(get_key(kme, request, (sae, peer))),
        ("dec_keys", Method::Get | Method::Post) => or_error(get_key_with_ids(kme, request, (sae, peer))),
        ("status", _) => Reply::error(405, "status takes GET", &[]),
        ("enc_keys" | "dec_keys", _) => Reply::error(405, "keys are asked for with GET or POST", &[]),
        _ => Reply::error(404, "no such resource: status, enc_keys or dec_keys", &[]),
    }
}

fn or_error(reply: Result<Reply, Reply>) -> Reply {
    reply.unwrap_or_else(|error| error)
}

/// Section 5.1 and 6.1.
fn status(kme: &Kme, master: &str, slave: &str) -> Reply {
    let Some(pair) = kme.as_master(master, slave) else { return no_pair(slave) };
    let limits = &kme.limits;
    let key_bytes = u64::from(limits.key_size_bits / 8);
    Reply::json(
        200,
        &json!({
            "source_KME_ID": kme.id,
            "target_KME_ID": kme.pairs[pair].slave_kme,
            "master_SAE_ID": master,
            "slave_SAE_ID": slave,
            "key_size": limits.key_size_bits,
            "stored_key_count": kme.keys.available_bytes(pair) / key_bytes,
            "max_key_count": kme.keys.capacity_bytes(pair) / key_bytes,
            "max_key_per_request": limits.max_keys_per_request,
            "max_key_size": limits.max_key_size_bits,
            "min_key_size": limits.min_key_size_bits,
            "max_SAE_ID_count": 0,
        }),
    )
}

fn no_pair(slave: &str) -> Reply {
    let details = [json!({ "slave_SAE_ID": slave })];
    Reply::error(400, "this SAE shares no keys with the slave SAE specified", &details)
}

/// Section 6.2. Numbers are checked by hand: a client must read what is wrong with them.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct KeyRequest {
    number: Option<Value>,
    size: Option<Value>,
    #[serde(rename = "additional_slave_SAE_IDs")]
    additional_slave_sae_ids: Value,
    extension_mandatory: Value,
    extension_optional: Value,
}

/// Whether a field asks for something: clients send empty lists, and objects where a list is meant.
fn asks(field: &Value) -> bool {
    match field {
        Value::Null => false,
        Value::Array(list) => !list.is_empty(),
        Value::Object(object) => !object.is_empty(),
        _ => true,
    }
}

/// Section 5.2.
fn get_key(kme: &Kme, request: Request<'_>, (master, slave): (&str, &str)) -> Result<Reply, Reply> {
    let pair = kme.as_master(master, slave).ok_or_else(|| no_pair(slave))?;
    let asked = match request.method {
        Method::Get => KeyRequest {
            number: query(request.query, "number")?,
            size: query(request.query, "size")?,
            // What must not be passed over must not be passed over in a query either.
            additional_slave_sae_ids: asked_in_query(request.query, "additional_slave_SAE_IDs"),
            extension_mandatory: asked_in_query(request.query, "extension_mandatory"),
            extension_optional: asked_in_query(request.query, "extension_optional"),
        },
        _ => body::<KeyRequest>(request.body)?,
    };
    let want = checked(kme, &asked)?;
    let keys = kme.keys.reserve(pair, want).map_err(|error| unavailable(&error))?;
    kme.metrics().count_keys(pair, Call::Reserve, keys.len());
    let remark =
        asks(&asked.extension_optional).then_some("not all extension_optional request options handled");
    Ok(container(&keys, remark))
}

fn checked(kme: &Kme, asked: &KeyRequest) -> Result<Want, Reply> {
    if asks(&asked.extension_mandatory) {
        return Err(Reply::error(400, "not all extension_mandatory parameters are supported", &[]));
    }
    if asks(&asked.additional_slave_sae_ids) {
        let details = [json!({ "additional_slave_SAE_IDs": "max_SAE_ID_count is 0" })];
        return Err(Reply::error(400, "keys for several slave SAEs are not supported", &details));
    }
    let limits = &kme.limits;
    let number = whole("number", asked.number.as_ref(), 1)?;
    let most = u64::from(limits.max_keys_per_request);
    if !(1..=most).contains(&number) {
        let details = [json!({ "number": format!("1 to {most}") })];
        return Err(Reply::error(400, "number is out of range", &details));
    }
    let size = whole("size", asked.size.as_ref(), limits.key_size_bits)?;
    if !size.is_multiple_of(8) {
        return Err(Reply::error(400, "size shall be a multiple of 8", &[]));
    }
    let (least, most) = (u64::from(limits.min_key_size_bits), u64::from(limits.max_key_size_bits));
    if !(least..=most).contains(&size) {
        let details = [json!({ "size": format!("{least} to {most}") })];
        return Err(Reply::error(400, "size is out of range", &details));
    }
    let small = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
    Ok(Want { number: small(number), key_bytes: small(size / 8) })
}

fn whole(name: &str, given: Option<&Value>, default: u32) -> Result<u64, Reply> {
    let Some(given) = given.filter(|given| !given.is_null()) else { return Ok(u64::from(default)) };
    given.as_u64().ok_or_else(|| {
        let details = [json!({ name: "a whole number, not negative" })];
        Reply::error(400, &format!("{name} is not a whole number"), &details)
    })
}

/// Section 6.4.
#[derive(Debug, Deserialize)]
struct KeyIds {
    #[serde(rename = "key_IDs")]
    key_ids: Vec<OneId>,
}

#[derive(Debug, Deserialize)]
struct OneId {
    #[serde(rename = "key_ID")]
    key_id: String,
}

/// Section 5.3: "shall return 401 if the SAE ID of the requestor was not an SAE ID supplied to the Get
/// key method each time it was called resulting in the return of any of the Key IDs requested". Keys of
/// other pairs lie in other pools, so the pair decides.
fn get_key_with_ids(kme: &Kme, request: Request<'_>, (slave, master): (&str, &str)) -> Result<Reply, Reply> {
    let pair = kme.as_slave(slave, master).ok_or_else(|| {
        Reply::error(401, "this SAE was not named when keys of the master SAE specified were requested", &[])
    })?;
    let texts: Vec<String> = match request.method {
        Method::Get => match url::parameter(request.query, "key_ID").flatten() {
            Some(id) => vec![id],
            None => {
                return Err(Reply::error(
                    400,
                    "key_ID is missing: GET takes one as ?key_ID=, POST many",
                    &[],
                ));
            }
        },
        _ => body::<KeyIds>(request.body)?.key_ids.into_iter().map(|id| id.key_id).collect(),
    };
    if texts.is_empty() || texts.len() > kme.limits.max_keys_per_request as usize {
        let details = [json!({ "key_IDs": format!("1 to {}", kme.limits.max_keys_per_request) })];
        return Err(Reply::error(400, "the number of key_IDs is out of range", &details));
    }
    let ids: Result<Vec<KeyId>, _> = texts.iter().map(|text| text.parse()).collect();
    let ids = ids.map_err(|_| Reply::error(400, "a key_ID is not a UUID", &[]))?;
    let keys = kme.keys.collect(pair, &ids).map_err(|error| unavailable(&error))?;
    kme.metrics().count_keys(pair, Call::Collect, keys.len());
    Ok(container(&keys, None))
}

fn unavailable(error: &Unavailable) -> Reply {
    match error {
        Unavailable::NotFound => Reply::error(400, "one or more keys specified are not found on KME", &[]),
        Unavailable::Short { available_bytes, wanted_bytes } => {
            let details = [
                json!({ "stored_bits": 8 * available_bytes, "requested_bits": wanted_bytes.saturating_mul(8) }),
            ];
            Reply::error(503, "not enough keys are stored; ask again later", &details)
        }
        Unavailable::Failed { .. } => Reply::error(503, "key data access error", &[]),
    }
}

fn asked_in_query(text: &str, name: &str) -> Value {
    url::parameter(text, name).map_or(Value::Null, |_| Value::Bool(true))
}

fn query(text: &str, name: &str) -> Result<Option<Value>, Reply> {
    let Some(given) = url::parameter(text, name) else { return Ok(None) };
    let number = given.and_then(|given| given.parse::<u64>().ok());
    number.map(|number| Some(json!(number))).ok_or_else(|| {
        let details = [json!({ name: "a whole number, not negative" })];
        Reply::error(400, &format!("{name} is not a whole number"), &details)
    })
}

/// A body of JSON; an empty one is an empty object.
fn body<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, Reply> {
    let wrong = |details: &[Value]| {
        Reply::error(400, "the body is not the JSON object that this request takes", details)
    };
    let bytes = bytes.trim_ascii();
    let bytes = if bytes.is_empty() { b"{}" } else { bytes };
    if !bytes.starts_with(b"{") {
        // A list would be taken for the object's fields in their order.
        return Err(wrong(&[]));
    }
    serde_json::from_slice(bytes)
        .map_err(|error| wrong(&[json!({ "line": error.line(), "column": error.column() })]))
}

/// Section 6.3. Written by hand: no buffer with keys is left behind, and base64 takes the same time
/// for every key.
fn container(keys: &[Key], remark: Option<&str>) -> Reply {
    let room = keys.iter().map(|key| key.bytes.len().div_ceil(3) * 4 + 64).sum::<usize>() + 160;
    let mut text = Zeroizing::new(Vec::with_capacity(room));
    text.extend_from_slice(b"{\"keys\":[");
    for (number, key) in keys.iter().enumerate() {
        if number > 0 {
            text.push(b',');
        }
        let encoded = Zeroizing::new(Base64::encode_string(&key.bytes));
        text.extend_from_slice(format!("{{\"key_ID\":\"{}\",\"key\":\"", key.id).as_bytes());
        text.extend_from_slice(encoded.as_bytes());
        text.extend_from_slice(b"\"}");
    }
    text.push(b']');
    if let Some(remark) = remark {
        text.extend_from_slice(
            format!(",\"key_container_extension\":{{\"message\":\"{remark}\"}}").as_bytes(),
        );
    }
    text.push(b'}');
    Reply { status: 200, body: text }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use zeroize::Zeroizing;

    use super::super::keys::Pair;
    use super::super::kme::Limits;
    use super::super::memory::{Here, Memory};
    use super::*;

    fn pair(master: &str, slave: &str) -> Pair {
        Pair { master: master.into(), slave: slave.into(), master_kme: "kme".into(), slave_kme: "kme".into() }
    }

    fn kme() -> Kme {
        let memory = Memory::new(&[Here { master: true, slave: true }; 2], 1 << 20);
        memory.add(0, 1, Zeroizing::new((0..=255).cycle().take(4096).collect()));
        memory.add(1, 2, Zeroizing::new(vec![7; 4096]));
        let pairs = vec![pair("alice", "bob"), pair("carol", "bob")];
        Kme::new("kme", pairs, Limits::default(), Arc::new(memory)).expect("a good configuration")
    }

    /// Asks as `sae`; `what` is a path with an optional query, POST if there is a body.
    fn ask(kme: &Kme, sae: &str, what: &str, body: &str) -> (u16, Value) {
        let (path, query) = what.split_once('?').unwrap_or((what, ""));
        let method = if body.is_empty() { Method::Get } else { Method::Post };
        let reply = kme.answer(Request { method, path, query, body: body.as_bytes(), sae: Some(sae) });
        (reply.status, serde_json::from_slice(&reply.body).expect("every body is JSON"))
    }

    fn message(answer: &(u16, Value)) -> &str {
        answer.1["message"].as_str().unwrap_or_default()
    }

    #[test]
    fn status_has_every_field_of_the_standard() {
        let (code, status) = ask(&kme(), "alice", "/api/v1/keys/bob/status", "");
        assert_eq!(code, 200, "{status}");
        for (name, value) in [
            ("source_KME_ID", json!("kme")),
            ("target_KME_ID", json!("kme")),
            ("master_SAE_ID", json!("alice")),
            ("slave_SAE_ID", json!("bob")),
            ("key_size", json!(256)),
            ("stored_key_count", json!(128)),
            ("max_key_count", json!(32_768)),
            ("max_key_per_request", json!(128)),
            ("max_key_size", json!(65_536)),
            ("min_key_size", json!(64)),
            ("max_SAE_ID_count", json!(0)),
        ] {
            assert_eq!(status[name], value, "{name}");
        }
        assert_eq!(status.as_object().map(serde_json::Map::len), Some(11), "and no other: {status}");
    }

    #[test]
    fn the_slave_collects_once_what_the_master_got() {
        let kme = kme();
        for (what, body) in [("?number=2&size=128", ""), ("", r#"{"number":2,"size":128,"misspelt":[]}"#)] {
            let (code, keys) = ask(&kme, "alice", &format!("/api/v1/keys/bob/enc_keys{what}"), body);
            assert_eq!((code, keys["keys"].as_array().map(Vec::len)), (200, Some(2)), "{keys}");
            let ids: Vec<_> =
                (0..2).map(|i| json!({ "key_ID": keys["keys"][i]["key_ID"], "x": 1 })).collect();
            let collect = json!({ "key_IDs": ids, "key_IDs_extension": {} }).to_string();
            let (code, copies) = ask(&kme, "bob", "/api/v1/keys/alice/dec_keys", &collect);
            assert_eq!((code, &copies), (200, &keys), "the same keys, in order");
            let again = ask(&kme, "bob", "/api/v1/keys/alice/dec_keys", &collect);
            assert_eq!(
                (again.0, message(&again)),
                (400, "one or more keys specified are not found on KME"),
                "once"
            );
        }
        let (_, keys) = ask(&kme, "alice", "/api/v1/keys/bob/enc_keys", "");
        let id = keys["keys"][0]["key_ID"].as_str().expect("an ID");
        let (code, copy) = ask(&kme, "bob", &format!("/api/v1/keys/alice/dec_keys?key_ID={id}"), "");
        assert_eq!((code, &copy["keys"][0]["key"]), (200, &keys["keys"][0]["key"]), "GET with one ID");
        assert_eq!(keys["keys"][0]["key"].as_str().map(str::len), Some(44), "256 bits in base64");
    }

    #[test]
    fn mistakes_have_the_codes_and_words_of_the_standard() {
        let kme = kme();
        let enc = "/api/v1/keys/bob/enc_keys";
        for (query, body, code, said) in [
            ("?size=257", "", 400, "size shall be a multiple of 8"),
            ("", r#"{"size":7}"#, 400, "size shall be a multiple of 8"),
            ("?size=0", "", 400, "size is out of range"),
            ("?size=65544", "", 400, "size is out of range"),
            ("?number=0", "", 400, "number is out of range"),
            ("?number=129", "", 400, "number is out of range"),
            ("?number=-1", "", 400, "number is not a whole number"),
            ("", r#"{"number":-1}"#, 400, "number is not a whole number"),
            ("", r#"{"number":"1"}"#, 400, "number is not a whole number"),
            ("", r#"{"number":1.5}"#, 400, "number is not a whole number"),
            (
                "",
                r#"{"extension_mandatory":[{"a":1}]}"#,
                400,
                "not all extension_mandatory parameters are supported",
            ),
            (
                "",
                r#"{"additional_slave_SAE_IDs":["x"]}"#,
                400,
                "keys for several slave SAEs are not supported",
            ),
            (
                "",
                r#"{"extension_mandatory":{"a":1}}"#,
                400,
                "not all extension_mandatory parameters are supported",
            ),
            ("?extension_mandatory=a", "", 400, "not all extension_mandatory parameters are supported"),
            ("?additional_slave_SAE_IDs=x", "", 400, "keys for several slave SAEs are not supported"),
            ("?size=8", "", 400, "size is out of range"),
            ("", r#"{"size":-8}"#, 400, "size is not a whole number"),
            ("?size=abc", "", 400, "size is not a whole number"),
            ("", "[]", 400, "the body is not the JSON object that this request takes"),
            ("", "\"", 400, "the body is not the JSON object that this request takes"),
            ("", "[", 400, "the body is not the JSON object that this request takes"),
            ("?number=128&size=65536", "", 503, "not enough keys are stored; ask again later"),
        ] {
            let answer = ask(&kme, "alice", &format!("{enc}{query}"), body);
            assert_eq!((answer.0, message(&answer)), (code, said), "{query} {body}");
            let details =
                answer.1.get("details").map_or(&[][..], |own| own.as_array().map_or(&[], |own| own));
            let known =
                answer.1.as_object().is_some_and(|own| own.keys().all(|k| k == "message" || k == "details"));
            assert!(known && details.iter().all(Value::is_object), "the form of section 6.5: {}", answer.1);
        }
        for nothing in [
            r#"{"extension_mandatory":[],"additional_slave_SAE_IDs":[],"extension_optional":[]}"#,
            r#"{"extension_mandatory":{},"additional_slave_SAE_IDs":null,"number":null,"size":null}"#,
            "{}",
            " ",
        ] {
            let answer = ask(&kme, "alice", enc, nothing);
            assert_eq!(
                (answer.0, answer.1.as_object().map(serde_json::Map::len)),
                (200, Some(1)),
                "{nothing}"
            );
        }
        let with_option = ask(&kme, "alice", enc, r#"{"extension_optional":[{"a":1}]}"#);
        assert_eq!(with_option.0, 200, "optional extensions never cause a refusal");
        assert_eq!(
            with_option.1["key_container_extension"]["message"],
            "not all extension_optional request options handled"
        );
    }

    #[test]
    fn key_ids_that_name_no_key_have_the_codes_and_words_of_the_standard() {
        let kme = kme();
        let (_, keys) = ask(&kme, "alice", "/api/v1/keys/bob/enc_keys", "");
        let id = keys["keys"][0]["key_ID"].as_str().expect("an ID").to_owned();
        let missing = "one or more keys specified are not found on KME";
        let out_of_range = "the number of key_IDs is out of range";
        let no_object = "the body is not the JSON object that this request takes";
        let ids = |ids: &[&str]| {
            json!({ "key_IDs": ids.iter().map(|id| json!({ "key_ID": id })).collect::<Vec<_>>() }).to_string()
        };
        let never = "00000000-0000-8000-8000-000000000001";
        for (body, said) in [
            (ids(&[never]), missing),
            (ids(&[&id, never]), missing),
            (ids(&[&id, &id]), missing),
            (ids(&[]), out_of_range),
            (ids(&[never; 129]), out_of_range),
            (ids(&["not-a-uuid"]), "a key_ID is not a UUID"),
            ("{}".to_owned(), no_object),
            (r#"{"key_IDs":[{"key_ID":7}]}"#.to_owned(), no_object),
        ] {
            let answer = ask(&kme, "bob", "/api/v1/keys/alice/dec_keys", &body);
            assert_eq!((answer.0, message(&answer)), (400, said), "{body}");
        }
        let with_extensions = json!({
            "key_IDs": [{ "key_ID": id, "key_ID_extension": { "a": 1 } }], "key_IDs_extension": { "b": [] }
        });
        let answer = ask(&kme, "bob", "/api/v1/keys/alice/dec_keys", &with_extensions.to_string());
        assert_eq!((answer.0, &answer.1["keys"][0]), (200, &keys["keys"][0]), "still there: {}", answer.1);
    }

    /// A store whose disk is gone.
    #[derive(Debug)]
    struct Broken;

    impl super::super::keys::Keys for Broken {
        fn available_bytes(&self, _pair: usize) -> u64 {
            0
        }

        fn capacity_bytes(&self, _pair: usize) -> u64 {
            0
        }

        fn reserve(&self, _pair: usize, _want: Want) -> Result<Vec<Key>, Unavailable> {
            Err(Unavailable::Failed { what: "/secret/path: no such disk".into() })
        }

        fn collect(&self, _pair: usize, _ids: &[KeyId]) -> Result<Vec<Key>, Unavailable> {
            self.reserve(0, Want { number: 1, key_bytes: 1 })
        }
    }

    #[test]
    fn a_broken_store_is_503_and_tells_applications_nothing_of_the_inside() {
        let kme = Kme::new("kme", vec![pair("alice", "bob")], Limits::default(), Arc::new(Broken));
        let kme = kme.expect("a good configuration");
        let dec = "/api/v1/keys/alice/dec_keys?key_ID=00000000-0000-8000-8000-000000000001";
        for (sae, path) in [("alice", "/api/v1/keys/bob/enc_keys"), ("bob", dec)] {
            let answer = ask(&kme, sae, path, "");
            assert_eq!(answer, (503, json!({ "message": "key data access error" })), "{path}");
        }
        let (code, status) = ask(&kme, "alice", "/api/v1/keys/bob/status", "");
        assert_eq!((code, &status["stored_key_count"]), (200, &json!(0)), "a status is still given");
    }

    #[test]
    fn ids_are_percent_decoded() {
        let memory = Memory::new(&[Here { master: true, slave: true }], 1 << 20);
        memory.add(0, 1, Zeroizing::new(vec![7; 4096]));
        let pairs = vec![pair("sae/alice é", "bob")];
        let kme = Kme::new("kme", pairs, Limits::default(), Arc::new(memory)).expect("a good configuration");
        let (code, keys) = ask(&kme, "sae/alice é", "/api/v1/keys/bob/enc_keys", "");
        let id = keys["keys"][0]["key_ID"].as_str().expect("an ID");
        let path = format!("/api/v1/keys/sae%2Falice%20%C3%A9/dec_keys?key_ID={id}");
        assert_eq!((code, ask(&kme, "bob", &path, "").0), (200, 200), "a slash, a blank and an accent");
    }

    #[test]
    fn only_the_named_get_keys() {
        let kme = kme();
        let (_, keys) = ask(&kme, "alice", "/api/v1/keys/bob/enc_keys", "");
        let id = keys["keys"][0]["key_ID"].as_str().expect("an ID").to_owned();
        for (sae, path, code) in [
            ("mallory", "/api/v1/keys/bob/status".to_owned(), 401),
            ("bob", "/api/v1/keys/alice/enc_keys".to_owned(), 400),
            ("alice", format!("/api/v1/keys/alice/dec_keys?key_ID={id}"), 401),
            ("carol", format!("/api/v1/keys/alice/dec_keys?key_ID={id}"), 401),
            ("bob", format!("/api/v1/keys/carol/dec_keys?key_ID={id}"), 400),
            ("bob", "/api/v1/keys/alice/dec_keys?key_ID=1".to_owned(), 400),
            ("bob", "/api/v1/keys/alice/dec_keys".to_owned(), 400),
            ("alice", "/api/v1/keys/bob/other".to_owned(), 404),
            ("alice", "/api/v2".to_owned(), 404),
            ("alice", "/api/v1/keys/%zz/status".to_owned(), 400),
        ] {
            let answer = ask(&kme, sae, &path, "");
            assert_eq!(answer.0, code, "{sae} {path}: {}", answer.1);
            assert!(!message(&answer).is_empty(), "{sae} {path} is told why");
        }
        let post = ask(&kme, "alice", "/api/v1/keys/bob/status", "{}");
        assert_eq!(post.0, 405, "status takes GET only");
        let nobody = Request { method: Method::Get, path: "/", query: "", body: b"", sae: None };
        assert_eq!(kme.answer(nobody).status, 401, "a certificate without an ID");
        let there = ask(&kme, "bob", &format!("/api/v1/keys/alice/dec_keys?key_ID={id}"), "");
        assert_eq!(there.0, 200, "no attempt of the others took the key away");
    }
}
