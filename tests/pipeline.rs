//! The drivers: any number of threads, in memory or over TCP, gives the same keys.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::needless_pass_by_value,
    reason = "tests make their numbers from counters"
)]

use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use keystill::Isa;
use keystill::pipeline::{Actor, Limits, News, NodeError, Workers, drive, drive_over};
use keystill::stage::Role;
use synthetic::links::{self, CvFrames, Frames};

mod synthetic;

fn node(role: Role) -> Vec<Box<dyn Actor>> {
    let bb84 = links::end(role, 9, synthetic::protocol());
    let cv = links::end(role, 9, synthetic::cv_protocol(role));
    let frames = Frames { role, blocks: 3, different: 16 };
    vec![links::party(bb84, Box::new(frames)), links::party(cv, Box::new(CvFrames { role, blocks: 1 }))]
}

/// Keys by protocol, role and block.
type Keys = Vec<(usize, u64, Vec<u8>)>;

fn collect(keys: &mut Keys, number: usize, news: News) {
    if let News::Key(key) = news {
        keys.push((number, key.block(), key.bits().to_bytes()));
    }
}

fn in_memory(threads: usize) -> Keys {
    let workers = Workers::new(threads, Isa::best()).expect("threads");
    let (alice, bob) = (node(Role::Alice), node(Role::Bob));
    let mut actors: Vec<Box<dyn Actor>> = alice.into_iter().zip(bob).flat_map(|(a, b)| [a, b]).collect();
    let mut keys = Keys::new();
    let mut told = |_: &[Box<dyn Actor>], news: Option<(usize, News)>| {
        if let Some((number, news)) = news {
            collect(&mut keys, number, news);
        }
        true
    };
    drive(&mut actors, &workers, &mut told).expect("no fault");
    keys.sort();
    keys
}

#[test]
fn any_number_of_threads_gives_the_same_keys() {
    let one = in_memory(1);
    assert_eq!(one.len(), 8, "three blocks of BB84 and one of CV, on both sides");
    let keys_of = |number: usize| one.iter().filter(move |key| key.0 == number).map(|key| &key.2);
    assert!(keys_of(0).eq(keys_of(1)), "Alice's and Bob's BB84 keys are equal");
    assert!(keys_of(2).eq(keys_of(3)), "Alice's and Bob's CV keys are equal");
    assert_eq!(one, in_memory(3), "three threads");
}

#[test]
fn two_nodes_over_tcp_distil_the_keys_of_one_process() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    let limits = Limits { longest_message: 1 << 24, patience: Duration::from_secs(60) };
    let run = move |role, stream: TcpStream| {
        let workers = Workers::new(1, Isa::best()).expect("threads");
        let mut keys = Keys::new();
        let mut told = |_: &[Box<dyn Actor>], news: Option<(usize, News)>| {
            if let Some((number, news)) = news {
                collect(&mut keys, 2 * number + usize::from(role == Role::Bob), news);
            }
            true
        };
        drive_over(stream, &mut node(role), &workers, limits, &mut told).map(|()| keys)
    };
    let alice = std::thread::spawn(move || run(Role::Alice, TcpStream::connect(address).expect("listening")));
    let (stream, _) = listener.accept().expect("a peer");
    let mut keys = run(Role::Bob, stream).expect("no fault");
    keys.extend(alice.join().expect("no panic").expect("no fault"));
    keys.sort();
    assert_eq!(keys, in_memory(2), "the wire changes nothing");
}

#[test]
fn a_peer_that_hangs_up_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    let stream = TcpStream::connect(address).expect("listening");
    drop(listener.accept().expect("a peer"));
    let workers = Workers::new(1, Isa::best()).expect("threads");
    let limits = Limits { longest_message: 1 << 24, patience: Duration::from_secs(5) };
    let outcome = drive_over(stream, &mut node(Role::Bob), &workers, limits, &mut |_, _| true);
    assert!(matches!(outcome, Err(NodeError::Closed | NodeError::Connection(_))), "{outcome:?}");
}
