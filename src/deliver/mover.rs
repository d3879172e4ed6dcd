//! Moves the keys of a node's own store elsewhere: into a site's database, where several front-ends deliver
//! them, or into a folder that a key manager watches.

use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::store::{Key, KeyStore, Share};

/// How long it waits for new keys, and for a place that takes none.
const PAUSE: Duration = Duration::from_millis(200);

/// Where keys go.
pub trait Sink: Send {
    /// How many keys it takes now.
    fn room(&mut self) -> usize;

    /// Takes keys; they last there once it has returned. It may be asked again with the same keys after an
    /// error, and takes each once.
    ///
    /// # Errors
    /// Why it does not.
    fn take(&mut self, keys: &[Key]) -> Result<(), Box<dyn Error>>;
}

/// A thread that moves keys; it ends when this is dropped.
///
/// The node's store marks keys as spent before they leave it. A crash before they last at the other
/// place wastes what was on the way: the other end of the link then holds them alone.
#[derive(Debug)]
pub struct Mover {
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Mover {
    /// Starts to move all that is in the store and all that will come.
    #[must_use]
    pub fn start<K: KeyStore + 'static>(store: Arc<Mutex<K>>, mut to: impl Sink + 'static) -> Self {
        let end = Arc::new(AtomicBool::new(false));
        let ended = end.clone();
        let thread = std::thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                if !move_some(&store, &mut to, &ended) {
                    std::thread::sleep(PAUSE);
                }
            }
            move_some(&store, &mut to, &ended);
        });
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

/// Moves what is there, as far as there is room; whether anything was.
fn move_some<K: KeyStore>(store: &Mutex<K>, to: &mut impl Sink, ended: &AtomicBool) -> bool {
    let room = to.room();
    if room == 0 {
        return false;
    }
    let taken = store.lock().unwrap_or_else(PoisonError::into_inner).deliver_next(Share::All, room);
    let keys = match taken {
        Ok(keys) if keys.is_empty() => return false,
        Ok(keys) => keys,
        Err(error) => {
            tracing::error!("no key can be moved: {error}");
            return false;
        }
    };
    // Until it has them; once the end is asked for, no more.
    while let Err(error) = to.take(&keys) {
        if ended.load(Ordering::Relaxed) {
            tracing::error!("{} keys are wasted: {error}", keys.len());
            break;
        }
        tracing::warn!("{} keys wait: {error}", keys.len());
        std::thread::sleep(PAUSE);
    }
    true
}

#[cfg(feature = "postgres")]
impl Sink for crate::store::Postgres {
    /// A thousand at a time, as long as less than 256 Mbit lie there.
    fn room(&mut self) -> usize {
        if self.available() < 1 << 20 { 1024 } else { 0 }
    }

    fn take(&mut self, keys: &[Key]) -> Result<(), Box<dyn Error>> {
        Ok(self.deposit(keys)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::KeyId;

    /// Takes keys at the second try only, and no more than ten at once.
    #[derive(Clone, Default)]
    struct Shelf(Arc<Mutex<(Vec<KeyId>, usize)>>);

    impl Sink for Shelf {
        fn room(&mut self) -> usize {
            10
        }

        fn take(&mut self, keys: &[Key]) -> Result<(), Box<dyn Error>> {
            let mut shelf = self.0.lock().expect("not poisoned");
            shelf.1 += 1;
            if shelf.1 % 2 == 1 {
                return Err("not now".into());
            }
            shelf.0.extend(keys.iter().map(|key| key.id));
            Ok(())
        }
    }

    #[test]
    fn every_key_moves_once() {
        let store = crate::store::filled_for_tests(25);
        let shelf = Shelf::default();
        let mover = Mover::start(store.clone(), shelf.clone());
        while shelf.0.lock().expect("not poisoned").0.len() < 25 {
            std::thread::sleep(Duration::from_millis(5));
        }
        drop(mover);
        let mut ids = shelf.0.lock().expect("not poisoned").0.clone();
        ids.dedup();
        assert_eq!((ids.len(), store.available()), (25, 0), "each once");
    }
}
