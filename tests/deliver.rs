//! Delivery with its own certificates and a client that somebody else wrote: curl.
#![cfg(all(feature = "serve", feature = "cli"))]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

/// A server that is stopped when its test ends.
struct Serving {
    process: Child,
    address: String,
    metrics: String,
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn keystill(folder: &Path, arguments: &[&str]) {
    let done = Command::new(env!("CARGO_BIN_EXE_keystill")).args(arguments).current_dir(folder).output();
    let done = done.expect("it starts");
    assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
}

const CONFIG: &str = r#"
kme = "kme-a"
listen = "127.0.0.1:0"
metrics_listen = "127.0.0.1:0"

[tls]
certificate = "certs/kme-a.pem"
key = "certs/kme-a.key"
client_authority = "certs/ca.pem"

[[pair]]
master = "alice"
slave = "bob"
master_kme = "kme-a"
slave_kme = "kme-a"
"#;

fn serve(folder: &Path) -> Serving {
    keystill(folder, &["certs", "init"]);
    keystill(folder, &["certs", "server", "kme-a", "--host", "localhost", "--host", "127.0.0.1"]);
    for sae in ["alice", "bob", "mallory"] {
        keystill(folder, &["certs", "client", sae]);
    }
    std::fs::write(folder.join("kme.toml"), CONFIG).expect("written");
    let mut process = Command::new(env!("CARGO_BIN_EXE_keystill"))
        .args(["serve", "--config", "kme.toml", "--demo", "1", "--threads", "2", "--json"])
        .current_dir(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let output = process.stdout.take().expect("piped");
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line).expect("a line");
    let told: Value = serde_json::from_str(&line).expect("JSON");
    let text = |name: &str| told[name].as_str().expect("an address").to_owned();
    Serving { process, address: text("listen"), metrics: text("metrics") }
}

/// Asks with curl as `sae`; the status and the body. No status if TLS refused.
fn curl(folder: &Path, sae: Option<&str>, more: &[&str], url: &str) -> (Option<u16>, Value) {
    let mut command = Command::new("curl");
    command
        .args(["--silent", "--write-out", "\n%{http_code}", "--cacert", "certs/ca.pem"])
        .current_dir(folder);
    if let Some(sae) = sae {
        command.args(["--cert", &format!("certs/{sae}.pem"), "--key", &format!("certs/{sae}.key")]);
    }
    let done = command.args(more).arg(url).output().expect("curl is installed");
    let text = String::from_utf8(done.stdout).expect("text");
    let (body, status) = text.rsplit_once('\n').expect("a status");
    let status = status.parse().ok().filter(|status| *status != 0);
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}

#[test]
fn curl_gets_keys_once_over_both_versions_of_tls() {
    let folder = tempfile::tempdir().expect("a folder");
    let serving = serve(folder.path());
    let ask = |sae: &str, more: &[&str], path: &str| {
        curl(folder.path(), Some(sae), more, &format!("https://{}{path}", serving.address))
    };
    for version in [&["--tlsv1.2", "--tls-max", "1.2"][..], &["--tlsv1.3"]] {
        let (status, told) = ask("alice", version, "/api/v1/keys/bob/status");
        assert_eq!((status, &told["key_size"]), (Some(200), &json!(256)), "{version:?}: {told}");
        let (status, keys) = ask("alice", version, "/api/v1/keys/bob/enc_keys?number=2&size=512");
        assert_eq!((status, keys["keys"].as_array().map(Vec::len)), (Some(200), Some(2)), "{keys}");
        let ids: Vec<Value> = (0..2).map(|i| json!({ "key_ID": keys["keys"][i]["key_ID"] })).collect();
        let body = json!({ "key_IDs": ids }).to_string();
        let post = [version, &["--json", &body, "--header", "Expect: 100-continue"]].concat();
        let (status, copies) = ask("bob", &post, "/api/v1/keys/alice/dec_keys");
        assert_eq!((status, &copies), (Some(200), &keys), "the slave's copies");
        let (status, error) = ask("bob", &post, "/api/v1/keys/alice/dec_keys");
        assert_eq!(status, Some(400), "once");
        assert_eq!(error["message"], "one or more keys specified are not found on KME");
    }
    let (status, error) = ask("mallory", &[], "/api/v1/keys/bob/enc_keys");
    assert_eq!(status, Some(401), "a good certificate of somebody else: {error}");
    let (status, error) = ask("alice", &["--request", "DELETE"], "/api/v1/keys/bob/enc_keys");
    assert_eq!((status, error["message"].is_string()), (Some(405), true), "{error}");
    let long = format!("{{\"x\":\"{}\"}}", "y".repeat(100));
    let (status, _) = ask("alice", &["--json", &long], "/api/v1/keys/bob/enc_keys");
    assert_eq!(status, Some(200), "unknown fields are ignored");
}

#[test]
fn nobody_gets_in_without_a_certificate_of_the_authority() {
    let folder = tempfile::tempdir().expect("a folder");
    let serving = serve(folder.path());
    let url = format!("https://{}/api/v1/keys/bob/status", serving.address);
    assert_eq!(curl(folder.path(), None, &[], &url).0, None, "no certificate");
    keystill(folder.path(), &["certs", "init", "--dir", "other", "--name", "another authority"]);
    keystill(folder.path(), &["certs", "client", "alice", "--dir", "other"]);
    let foreign = ["--cert", "other/alice.pem", "--key", "other/alice.key"];
    assert_eq!(curl(folder.path(), None, &foreign, &url).0, None, "another authority's");
    let own = ["--cert", "certs/kme-a.pem", "--key", "certs/kme-a.key"];
    assert_eq!(curl(folder.path(), None, &own, &url).0, None, "a server's certificate is no client's");
    let metrics =
        Command::new("curl").args(["--silent", &format!("http://{}/metrics", serving.metrics)]).output();
    let metrics = String::from_utf8(metrics.expect("curl is installed").stdout).expect("text");
    assert!(metrics.contains("keystill_tls_refused_total 3"), "each refusal is counted:\n{metrics}");
}

/// What it said on standard error, and its exit code.
fn refused(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new("timeout");
    command.args(["--signal=KILL", "60", env!("CARGO_BIN_EXE_keystill")]).args(arguments).current_dir(folder);
    let done = command.output().expect("it starts");
    (done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned())
}

#[test]
fn what_cannot_serve_is_told_with_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let serving = serve(folder.path());
    for (from, to, said) in [
        ("127.0.0.1:0", &*serving.address, "choose another address or end who has it"),
        ("127.0.0.1:0", "everywhere", "an address is HOST:PORT"),
        ("kme-a.key", "alice.key", "certs/alice.key: not the key of certs/kme-a.pem; name the two"),
        ("certs/kme-a", "certs/alice", "certs/alice.pem: it is a client's"),
        ("kme-a.key", "kme-a.pem", "no private key in it; name the file that ends in .key"),
        ("ca.pem", "nobody.pem", "certs/nobody.pem: No such file or directory (os error 2); check the path"),
        ("ca.pem", "kme-a.key", "no certificate in it; make one with `keystill certs`"),
    ] {
        std::fs::write(folder.path().join("wrong.toml"), CONFIG.replace(from, to)).expect("written");
        let (code, told) = refused(folder.path(), &["serve", "--config", "wrong.toml", "--demo", "1"]);
        assert_eq!(code, Some(3), "{to}: {told}");
        assert!(told.contains(said), "{to}: {told}");
        let causes = told.matches("os error").count();
        assert!(causes <= 1, "{to}: a cause is told once: {told}");
    }
}

#[test]
fn certificates_are_made_in_pairs_or_not_at_all() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join("certs").join(name);
    keystill(folder.path(), &["certs", "init"]);
    keystill(folder.path(), &["certs", "client", "alice"]);
    std::fs::remove_file(path("alice.key")).expect("there");
    let (code, told) = refused(folder.path(), &["certs", "client", "alice"]);
    assert!(code == Some(6) && told.contains("certs/alice.pem is there; remove it"), "{code:?}: {told}");
    assert!(!path("alice.key").exists(), "no key beside another one's certificate");
    let (code, told) = refused(folder.path(), &["certs", "server", "kme-a", "--host", "kme-a:8443"]);
    assert!(code == Some(3) && told.contains("`kme-a:8443` is neither a host name"), "{code:?}: {told}");
    let (code, told) = refused(folder.path(), &["certs", "client", "bob", "--dir", "elsewhere"]);
    assert!(code == Some(3) && told.contains("keystill certs init"), "{code:?}: {told}");
}
