//! The dashboard, the alert rules and their page speak of metrics that exist.

use std::collections::BTreeSet;
use std::path::Path;

fn text(file: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).expect(file)
}

/// All words that begin with `keystill_`.
fn metrics(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("keystill_")).map(str::to_owned).collect()
}

#[test]
fn what_operators_are_given_speaks_of_metrics_that_exist() {
    let exposed = metrics(&(text("src/deliver/metrics.rs") + &text("src/cli/node/metrics.rs")));
    for file in ["alerts.yml", "grafana.json", "README.md"] {
        let named = metrics(&text(&format!("examples/operations/{file}")));
        assert!(named.len() > 5, "{file} names {named:?}");
        let unknown: Vec<_> = named.difference(&exposed).collect();
        assert!(unknown.is_empty(), "{file} names metrics that nothing exposes: {unknown:?}");
    }
}

#[test]
fn the_dashboard_is_one() {
    let dashboard: serde_json::Value =
        serde_json::from_str(&text("examples/operations/grafana.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let ids: BTreeSet<_> = panels.iter().filter_map(|panel| panel["id"].as_u64()).collect();
    assert_eq!(ids.len(), panels.len(), "every panel has its own number");
    for panel in panels {
        let place = &panel["gridPos"];
        let [x, w] = ["x", "w"].map(|name| place[name].as_u64().expect("a place"));
        assert!(x + w <= 24, "{} lies outside of the grid", panel["title"]);
        assert!(
            panel["targets"].as_array().is_some_and(|own| !own.is_empty()),
            "{} shows nothing",
            panel["title"]
        );
    }
}
