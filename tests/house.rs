//! The house checks itself: who may import whom, where `unsafe`, threads, sockets and files stand.

use std::fs;
use std::path::{Path, PathBuf};

/// Rooms and their floors, as the head of `src/lib.rs` says.
const FLOORS: &[(&str, u32)] = &[
    ("cli", 11),
    ("main", 11),
    ("promises", 11),
    ("formats", 11),
    ("bring_up", 11),
    ("sim", 10),
    ("deliver", 10),
    ("offload", 10),
    ("pipeline", 9),
    ("session", 8),
    ("store", 8),
    ("amplify", 7),
    ("verify", 6),
    ("bb84", 6),
    ("cv", 6),
    ("protocol", 5),
    ("reconcile", 5),
    ("stage", 4),
    ("auth", 4),
    ("wire", 3),
    ("bits", 2),
    ("random", 2),
    ("ledger", 1),
    ("bounds", 1),
    ("channel", 1),
    ("columns", 1),
    ("npy", 1),
];

/// Imports between rooms of one floor that are meant: protocols speak of reconciliation's tasks, the
/// store takes a session's keys, authentication names the roles.
const SAME_FLOOR: &[(&str, &str)] = &[("protocol", "reconcile"), ("store", "session"), ("auth", "stage")];

/// Words for effects, and the rooms that may use them.
const EFFECTS: &[(&str, &[&str])] = &[
    ("std::net", &["pipeline", "deliver", "cli"]),
    ("std::thread", &["pipeline", "deliver", "cli"]),
    ("std::fs", &["pipeline", "store", "deliver", "offload", "cli", "main"]),
    ("Instant", &["pipeline", "deliver", "offload", "cli"]),
    ("SystemTime", &["pipeline", "store", "deliver", "cli"]),
    ("rand_chacha", &["sim", "channel", "cli"]),
    ("getrandom", &["random"]),
];

fn sources(folder: &str) -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a folder of the project") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut found);
    found.sort();
    assert!(!found.is_empty(), "no sources in {folder}");
    found
}

/// The code of a file, without comments and without what follows `#[cfg(test)]`.
fn code(path: &Path) -> String {
    if path.file_name().is_some_and(|name| name == "tests.rs" || name == "conformance.rs") {
        // A test from end to end.
        return String::new();
    }
    let text = fs::read_to_string(path).expect("a source file");
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn room(path: &Path) -> String {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let inside = path.strip_prefix(src).expect("below src");
    let first = inside.components().next().expect("a name").as_os_str().to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

fn floor(room: &str) -> u32 {
    let found = FLOORS.iter().find(|(name, _)| *name == room);
    found.unwrap_or_else(|| panic!("room `{room}` has no floor: add it to the table")).1
}

/// The rooms that a file names by `crate::` or, in the binary, by `keystill::`.
fn imports(code: &str, prefix: &str) -> Vec<String> {
    let names = code.split(prefix).skip(1).map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        rest[..end].to_owned()
    });
    names.filter(|name| FLOORS.iter().any(|(room, _)| room == name)).collect()
}

#[test]
fn no_room_imports_upward() {
    let mut wrong = Vec::new();
    for path in sources("src") {
        let own = room(&path);
        if own == "lib" {
            continue;
        }
        for import in imports(&code(&path), "crate::") {
            let listed = SAME_FLOOR.contains(&(own.as_str(), import.as_str()));
            if import != own && floor(&import) >= floor(&own) && !listed {
                wrong.push(format!("{}: {own} imports {import}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "imports upward or sideways:\n{}", wrong.join("\n"));
}

#[test]
fn only_the_simulator_and_the_command_line_name_the_channel() {
    for path in sources("src") {
        let own = room(&path);
        let named = imports(&code(&path), "crate::").contains(&"channel".to_owned());
        let may = matches!(own.as_str(), "sim" | "cli" | "channel");
        assert!(
            may || !named,
            "{} names the channel: the engine estimates, it is never told",
            path.display()
        );
    }
}

#[test]
fn the_session_names_no_protocol_of_its_own() {
    for path in sources("src").into_iter().filter(|path| room(path) == "session") {
        for import in imports(&code(&path), "crate::") {
            assert!(import != "bb84" && import != "cv", "{} names {import}", path.display());
        }
    }
}

#[test]
fn the_protocols_do_not_name_each_other() {
    for path in sources("src") {
        let imports = imports(&code(&path), "crate::");
        let other = match room(&path).as_str() {
            "bb84" => "cv",
            "cv" => "bb84",
            _ => continue,
        };
        assert!(!imports.contains(&other.to_owned()), "{} names {other}", path.display());
    }
}

#[test]
fn effects_stand_only_in_their_rooms() {
    for path in sources("src") {
        let (own, code) = (room(&path), code(&path));
        for (word, rooms) in EFFECTS {
            let may = rooms.contains(&own.as_str());
            assert!(may || !code.contains(word), "{} uses {word}", path.display());
        }
    }
}

#[test]
fn unsafe_code_stands_only_in_the_kernels() {
    for path in sources("src") {
        let code = code(&path).replace("#![forbid(unsafe_code)]", "");
        assert!(!code.contains("unsafe"), "{} speaks of unsafe", path.display());
    }
    for root in ["src/lib.rs", "src/main.rs"] {
        let text =
            fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(root)).expect("a crate root");
        assert!(text.contains("#![forbid(unsafe_code)]"), "{root} forbids unsafe code");
    }
}

#[test]
fn every_unsafe_block_of_the_kernels_says_why_it_is_sound() {
    for path in sources("kernels/src") {
        let text = fs::read_to_string(&path).expect("a source file");
        let lines: Vec<&str> = text.lines().collect();
        for (number, line) in lines.iter().enumerate() {
            let opens = line.contains("unsafe {") && !line.trim_start().starts_with("//");
            let reasons = lines[number.saturating_sub(4)..number].iter();
            let has_reason = reasons.clone().any(|line| line.contains("SAFETY:"));
            assert!(!opens || has_reason, "{}:{}: no SAFETY comment", path.display(), number + 1);
        }
    }
}
