//! Moves the keys of a node's own store into a site's database, where several front-ends deliver them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::store::{Key, KeyStore, Postgres, Share};

/// Keys in one transaction.
const BATCH: usize = 1024;

/// Keys in the database above which no more are moved: 256 Mbit.
const ENOUGH: u64 = 1 << 20;

/// How long it waits for new keys, and for a database that does not answer.
const PAUSE: Duration = Duration::from_millis(200);

/// A thread that moves keys; it ends when this is dropped.
///
/// The node's store marks keys as spent before they leave it. A crash before the database has confirmed
/// them wastes one batch, which the other end's database then holds alone: its IDs are not found here.
#[derive(Debug)]
pub struct Mover {
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Mover {
    /// Starts to move all that is in the store and all that will come.
    #[must_use]
    pub fn start<K: KeyStore + 'static>(store: Arc<Mutex<K>>, to: Postgres) -> Self {
        let end = Arc::new(AtomicBool::new(false));
        let ended = end.clone();
        let thread = std::thread::spawn(move || move_all(&store, to, &ended));
        Self { end, thread: Some(thread) }
    }
}

impl Drop for Mover {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic was told when it happened.
            let _ = thread.join();
        }
    }
}

fn move_all<K: KeyStore>(store: &Mutex<K>, mut to: Postgres, ended: &AtomicBool) {
    let mut held = to.available();
    while !ended.load(Ordering::Relaxed) {
        if held >= ENOUGH {
            std::thread::sleep(PAUSE);
            held = to.available();
            continue;
        }
        let taken = store.lock().unwrap_or_else(PoisonError::into_inner).deliver_next(Share::All, BATCH);
        match taken {
            Ok(keys) if keys.is_empty() => std::thread::sleep(PAUSE),
            Ok(keys) => {
                deposit(&mut to, &keys, ended);
                held += keys.len() as u64;
            }
            Err(error) => {
                tracing::error!("no more keys are moved to the database: {error}");
                return;
            }
        }
    }
}

/// Tries until the database has the keys; once the end is asked for, no more.
fn deposit(to: &mut Postgres, keys: &[Key], ended: &AtomicBool) {
    while let Err(error) = to.deposit(keys) {
        if ended.load(Ordering::Relaxed) {
            tracing::error!("{} keys are wasted, the database did not take them: {error}", keys.len());
            return;
        }
        tracing::warn!("{} keys wait for the database: {error}", keys.len());
        std::thread::sleep(PAUSE);
    }
}
