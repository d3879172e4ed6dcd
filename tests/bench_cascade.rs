//! What `keystill bench cascade` prints is a contract: users script against its fields.

#![cfg(feature = "cli")]

use assert_cmd::Command;
use serde_json::Value;

fn bench(arguments: &[&str]) -> Command {
    let mut command = Command::cargo_bin("keystill").expect("the program is built");
    command.args(["bench", "cascade"]).args(arguments);
    command
}

#[test]
fn one_object_a_line_with_the_fields_of_the_contract() {
    let run = bench(&["--n", "5000", "--frames", "10", "--qber", "0.01,0.05", "--threads", "1", "--json"]);
    let output = { run }.assert().success().get_output().stdout.clone();
    let lines: Vec<Value> = String::from_utf8(output)
        .expect("text")
        .lines()
        .map(|line| serde_json::from_str(line).expect("an object a line"))
        .collect();
    assert_eq!(lines.len(), 2, "one object for each error rate");
    for (line, qber) in lines.iter().zip([0.01, 0.05]) {
        assert_eq!(line["stage"], "cascade", "{line}");
        assert_eq!(line["qber"], qber, "{line}");
        assert_eq!(line["n_bits"], 5000, "{line}");
        assert_eq!(line["frames"], 10, "{line}");
        assert_eq!(line["threads"], 1, "{line}");
        let number = |field: &str| line[field].as_f64().unwrap_or_else(|| panic!("{field} in {line}"));
        assert!(number("mbit_per_s") > 0.0, "{line}");
        assert!((1.0..1.3).contains(&number("efficiency")), "{line}");
        let ratio = number("efficiency_two_way") / number("efficiency");
        assert!((ratio - 2.0).abs() < 1e-9, "each answer reveals a parity of either side: {line}");
        assert!(number("fer_first") >= number("fer"), "{line}");
        assert!((number("messages") / number("rounds") - 2.0).abs() < 1e-9, "{line}");
        assert!(number("iterations") >= 1.0, "{line}");
        assert!(line["isa"].is_string(), "{line}");
    }
}

#[test]
fn what_cannot_be_reconciled_is_a_usage_error() {
    for arguments in [["--qber", "0.2"], ["--qber", "0"], ["--n", "0"]] {
        bench(&arguments).assert().code(2);
    }
}
