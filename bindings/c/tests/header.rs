//! The committed header is what cbindgen makes of the source.

use std::path::Path;

#[test]
fn the_header_is_up_to_date() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(folder.join("cbindgen.toml")).expect("a configuration");
    let made = cbindgen::Builder::new().with_crate(folder).with_config(config).generate().expect("a header");
    let path = folder.join("include/keystill.h");
    if std::env::var_os("KEYSTILL_BLESS").is_some() {
        made.write_to_file(&path);
    }
    let mut text = Vec::new();
    made.write(&mut text);
    let committed = std::fs::read(&path).expect("include/keystill.h");
    assert!(committed == text, "the header is old: run KEYSTILL_BLESS=1 cargo test --test header");
}
