//! Against a real server, which `KEYSTILL_TEST_POSTGRES` names by a connection string; CI starts one.

use std::sync::atomic::{AtomicU32, Ordering};

use zeroize::Zeroizing;

use super::super::conformance;
use super::super::vault::SECRET;
use super::*;

/// A schema of its own for each test: tests run at once.
fn fresh_database() -> Option<Database> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let Ok(server) = std::env::var("KEYSTILL_TEST_POSTGRES") else {
        eprintln!("not run: KEYSTILL_TEST_POSTGRES names no server");
        return None;
    };
    let schema = format!("t{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let database = Database::new(&server, None).expect("a connection string");
    database.execute(&format!("CREATE SCHEMA {schema}")).expect("the server runs");
    let server = format!("{server} options='-c search_path={schema}'");
    Some(Database::new(&server, None).expect("a connection string"))
}

fn open(database: &Database) -> Postgres {
    let site = Arc::new(SiteKey::new(Zeroizing::new([9; 32])));
    Postgres::open(database.clone(), site).expect("the server runs")
}

fn keys(block: u64, places: std::ops::Range<u32>) -> Vec<Key> {
    let bytes = |place: u32| {
        let mut bytes = [block as u8; SECRET];
        bytes[..4].copy_from_slice(&place.to_le_bytes());
        bytes
    };
    places.map(|place| Key { id: KeyId::new([7; 6], block, place), bytes: bytes(place) }).collect()
}

#[test]
fn the_store_in_postgresql_conforms() {
    if fresh_database().is_none() {
        return;
    }
    conformance::suite(|count, callers| {
        let database = fresh_database().expect("there, as before");
        let mut handles: Vec<Postgres> = (0..callers).map(|_| open(&database)).collect();
        let count = u32::try_from(count).expect("small");
        handles[0].deposit(&keys(0, 0..count)).expect("deposited");
        handles
    });
}

#[test]
fn a_key_is_taken_in_once_however_often_it_comes() {
    let Some(database) = fresh_database() else { return };
    let mut store = open(&database);
    store.deposit(&keys(3, 0..4)).expect("deposited");
    let got = store.deliver_next(Share::All, 3).expect("open").pop().expect("the third key").id;
    let both: Vec<Key> = keys(3, 0..6).into_iter().chain(keys(4, 0..2)).collect();
    store.deposit(&both).expect("deposited");
    assert_eq!(store.available(), 1 + 2 + 2, "the new ones only");
    assert!(matches!(store.deliver(got), Err(StoreError::Delivered { .. })), "a delivered key stays so");
}

#[test]
fn a_connection_that_breaks_is_made_anew_and_delivers_nothing_twice() {
    let Some(database) = fresh_database() else { return };
    let mut store = open(&database);
    store.deposit(&keys(0, 0..10)).expect("deposited");
    let first = store.deliver_next(Share::All, 4).expect("open");
    let kill = "SELECT pg_terminate_backend(pg_backend_pid())";
    let killed = store.with(|session| session.client.batch_execute(kill).map_err(failed));
    assert!(matches!(killed, Err(StoreError::Database { .. })), "{killed:?}");
    let rest = store.deliver_next(Share::All, 10).expect("connected again");
    assert_eq!((first.len(), rest.len()), (4, 6), "each key once");
}

#[test]
fn no_key_lies_in_the_database_in_the_clear() {
    let Some(database) = fresh_database() else { return };
    let mut store = open(&database);
    store.deposit(&keys(0, 0..1)).expect("deposited");
    let row = store
        .with(|session| session.client.query_one("SELECT sealed FROM keystill_key", &[]).map_err(failed));
    let sealed: Vec<u8> = row.expect("a row").get(0);
    let key = &keys(0, 0..1)[0];
    let clear = sealed.windows(8).any(|window| key.bytes().windows(8).any(|own| own == window));
    assert!(!clear, "eight bytes of the key in a row stand in the table");
    let foreign = Arc::new(SiteKey::new(Zeroizing::new([8; 32])));
    let mut foreign = Postgres::open(database, foreign).expect("the server runs");
    assert!(
        foreign.deliver_next(Share::All, 1).expect("open").is_empty(),
        "another site's key opens nothing"
    );
}

#[test]
fn a_server_elsewhere_is_reached_over_tls_only() {
    let refused = Database::new("host=192.0.2.1 user=keystill", None);
    let text = refused.expect_err("no authority").to_string();
    assert!(text.contains("authority"), "{text}");
    assert!(Database::new("host=/run/postgresql user=keystill", None).is_ok(), "a socket of this machine");
}

#[test]
fn a_nodes_keys_move_over() {
    let Some(database) = fresh_database() else { return };
    let mut store = super::super::tests::shared(super::super::InMemory::new(), 5, 1);
    let mut theirs = open(&database);
    let moved = store[0].deliver_next(Share::All, 100).expect("open");
    theirs.deposit(&moved).expect("deposited");
    let got = theirs.deliver_next(Share::All, 100).expect("open");
    let same = moved.iter().zip(&got).all(|(own, got)| (own.id, own.bytes()) == (got.id, got.bytes()));
    assert!(same && got.len() == 5, "the same keys under the same IDs");
}
