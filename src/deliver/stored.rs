//! Delivery from a key store: keys of any size out of its keys of 256 bits.
//!
//! # Who gets which key
//! Both ends reckon it from the list of pairs alone. The link's two nodes share the places of a block:
//! the first by name hands out the even ones, the second the odd ones; if all masters ask at one node,
//! it hands out all. A node's places go to its pairs in turn. So a key asked for at one end is never
//! handed out at the other, a slave finds its pair's keys only, and no node asks the other.
//!
//! # IDs
//! A key of several store keys takes consecutive places of its pair. Its ID is that of the first,
//! with its length in bytes where a block number has more bits than any link will count to:
//! `link:48 · block:40 · length − 1:13 · place:27`.
//!
//! # Once, durably
//! The store marks a key as spent, lastingly, before it hands it over. What waits here in memory is lost
//! in a crash, and never delivered twice: keys pulled for requests that wait, copies of a slave that is
//! served by the same node, and the good keys of a request that named a bad one too.

mod places;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use zeroize::Zeroizing;

use crate::store::{self, KeyStore, Share, StoreError};

use super::keys::{Key, KeyId, Keys, Pair, Unavailable, Want};
use super::together::Together;
use places::{Lane, MOST_BYTES, Place, UNIT};

/// Store keys pulled with one sync, at most.
const MOST_PULLED: usize = 4096;

/// A store's keys cannot be shared out as the configuration says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("masters ask at {nodes:?}, but a link has two ends: serve each link by itself")]
pub struct TooManyNodes {
    /// The nodes at which masters ask.
    pub nodes: Vec<String>,
}

/// What waits in memory.
#[derive(Debug, Default)]
struct Waiting {
    /// Of each pair: pulled, in the order of places.
    pulled: Vec<VecDeque<store::Key>>,
    /// Of each pair: pulled, but at a block's end and too few for a long key.
    ends: Vec<VecDeque<store::Key>>,
    /// Copies for slaves of pairs whose both sides are served here.
    copies: BTreeMap<(usize, KeyId), Zeroizing<Vec<u8>>>,
    /// Taken for a request that failed.
    returned: BTreeMap<store::KeyId, store::Key>,
}

/// The units of a key, in order.
type Units = Vec<store::Key>;

/// All units that a caller collects, or why there are none.
type Fetched = Result<Units, Unavailable>;

/// What a master asks for.
#[derive(Clone, Copy, Debug)]
struct Ask {
    pair: usize,
    /// Store keys for each key.
    units: usize,
    number: usize,
    step: u32,
}

/// The units of each key of a request; `None` if the store has too few.
type Pulled = Result<Option<Vec<Units>>, Unavailable>;

/// Keys of a store, shared out among pairs.
#[derive(Debug)]
pub struct Stored<K> {
    store: Arc<Mutex<K>>,
    lanes: Vec<Lane>,
    share: Share,
    capacity_bits: u64,
    waiting: Mutex<Waiting>,
    reserving: Together<Ask, Pulled>,
    collecting: Together<Vec<store::KeyId>, Fetched>,
}

impl<K: KeyStore> Stored<K> {
    /// Shares out a store among pairs at the node `kme`; `capacity_bits` is what the store may hold.
    ///
    /// # Errors
    /// [`TooManyNodes`] if masters ask at more than two nodes.
    pub fn new(
        store: Arc<Mutex<K>>,
        kme: &str,
        pairs: &[Pair],
        capacity_bits: u64,
    ) -> Result<Self, TooManyNodes> {
        let mut nodes: Vec<String> = pairs.iter().map(|pair| pair.master_kme.clone()).collect();
        nodes.sort();
        nodes.dedup();
        if nodes.len() > 2 {
            return Err(TooManyNodes { nodes });
        }
        let ends = u32::try_from(nodes.len()).unwrap_or(2).max(1);
        let end = |name: &str| u32::from(nodes.iter().position(|node| node == name) == Some(1));
        let lane = |(number, pair): (usize, &Pair)| {
            let same = |other: &&Pair| other.master_kme == pair.master_kme;
            let count = |pairs: &[Pair]| u32::try_from(pairs.iter().filter(same).count()).unwrap_or(u32::MAX);
            Lane {
                both_here: pair.master_kme == kme && pair.slave_kme == kme,
                master_here: pair.master_kme == kme,
                first: end(&pair.master_kme) + ends * count(&pairs[..number]),
                step: ends.saturating_mul(count(pairs)),
            }
        };
        let share = match (ends, end(kme)) {
            (1, _) => Share::All,
            (_, 0) => Share::Even,
            _ => Share::Odd,
        };
        let queues = || pairs.iter().map(|_| VecDeque::new()).collect();
        Ok(Self {
            store,
            lanes: pairs.iter().enumerate().map(lane).collect(),
            share,
            capacity_bits,
            waiting: Mutex::new(Waiting { pulled: queues(), ends: queues(), ..Waiting::default() }),
            reserving: Together::default(),
            collecting: Together::default(),
        })
    }

    fn store(&self) -> MutexGuard<'_, K> {
        // A store that failed half-way closes by itself.
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Queues hold whole keys at every moment.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers masters whose keys do not wait here: each gets all of its keys, or none. One sync serves them all.
    fn pull(&self, asks: &[Ask]) -> Vec<Pulled> {
        let mut answers: Vec<Pulled> = asks.iter().map(|_| Ok(None)).collect();
        let mut lacking = self.waiting().answer(asks, &mut answers);
        while lacking > 0 {
            // The store syncs: who needs nothing of it goes on meanwhile.
            let keys = match self.store().deliver_next(self.share, self.most(lacking)) {
                Ok(keys) if keys.is_empty() => break,
                Ok(keys) => keys,
                Err(error) => {
                    let unanswered = answers.iter_mut().filter(|answer| matches!(answer, Ok(None)));
                    unanswered.for_each(|answer| *answer = Err(failed(&error)));
                    break;
                }
            };
            let mut waiting = self.waiting();
            for key in keys {
                let place = Place::of_store(key.id).0.place;
                let own = self.lanes.iter().position(|lane| lane.master_here && lane.holds(place));
                waiting.pulled[own.unwrap_or(asks[0].pair)].push_back(key);
            }
            // At once: nobody else can take what was pulled for these.
            lacking = waiting.answer(asks, &mut answers);
        }
        answers
    }

    /// How many store keys to pull for so many that are lacking: all pairs' places come in turn.
    fn most(&self, lacking: usize) -> usize {
        let lanes = self.lanes.iter().filter(|lane| lane.master_here).count().max(1);
        lacking.saturating_mul(lanes).clamp(lanes, MOST_PULLED.max(lanes))
    }
}

impl Waiting {
    /// The next units of a pair for one key, if they are there.
    fn cut(&mut self, pair: usize, units: usize, step: u32) -> Option<Vec<store::Key>> {
        if units == 1
            && let Some(key) = self.ends[pair].pop_front()
        {
            return Some(vec![key]);
        }
        loop {
            let queue = &self.pulled[pair];
            let first = Place::of_store(queue.front()?.id).0;
            let follows = |(ahead, key): (u32, &store::Key)| first.unit(ahead * step) == Some(key.id);
            let run = (0u32..).zip(queue).take(units).take_while(|unit| follows(*unit)).count();
            if run == units {
                return Some(self.pulled[pair].drain(..units).collect());
            }
            if run == queue.len() {
                return None;
            }
            let end = self.pulled[pair].drain(..run);
            self.ends[pair].extend(end);
        }
    }

    /// All keys of a request if they are there, or how many units are lacking.
    fn cut_all(&mut self, ask: Ask) -> Result<Vec<Units>, usize> {
        let mut cuts = Vec::with_capacity(ask.number);
        while cuts.len() < ask.number {
            let Some(cut) = self.cut(ask.pair, ask.units, ask.step) else {
                let lacking = ask.units.saturating_mul(ask.number - cuts.len());
                self.put_back(ask.pair, cuts);
                return Err(lacking);
            };
            cuts.push(cut);
        }
        Ok(cuts)
    }

    /// Answers whom it can, first come, first served. How many units the others lack.
    fn answer(&mut self, asks: &[Ask], answers: &mut [Pulled]) -> usize {
        let mut lacking = 0_usize;
        for (ask, answer) in asks.iter().zip(answers).filter(|(_, answer)| matches!(answer, Ok(None))) {
            match self.cut_all(*ask) {
                Ok(cuts) => *answer = Ok(Some(cuts)),
                Err(units) => lacking = lacking.saturating_add(units),
            }
        }
        lacking
    }

    /// All keys of a request, or none: the good ones of a bad request wait here until they are asked for again.
    fn all_or_none(
        &mut self,
        units: Vec<Result<store::Key, StoreError>>,
    ) -> Result<Vec<store::Key>, Unavailable> {
        let mut error = None;
        let mut keys = Vec::with_capacity(units.len());
        for unit in units {
            match unit {
                Ok(key) => keys.push(key),
                Err(found) => error = Some(found),
            }
        }
        let Some(error) = error else { return Ok(keys) };
        self.returned.extend(keys.into_iter().map(|key| (key.id, key)));
        Err(match error {
            StoreError::Delivered { .. } | StoreError::Unknown { .. } | StoreError::Spoilt { .. } => {
                Unavailable::NotFound
            }
            error => failed(&error),
        })
    }

    /// Takes back what was cut.
    fn put_back(&mut self, pair: usize, cuts: Vec<Vec<store::Key>>) {
        for key in cuts.into_iter().flatten().rev() {
            self.pulled[pair].push_front(key);
        }
    }
}

fn failed(error: &StoreError) -> Unavailable {
    Unavailable::Failed { what: error.to_string() }
}

/// The first bytes of some store keys.
fn joined(units: &[store::Key], bytes: usize) -> Zeroizing<Vec<u8>> {
    // Room for all at once: a vector that grows leaves copies behind.
    let mut joined = Zeroizing::new(Vec::with_capacity(units.len() * UNIT));
    for unit in units {
        joined.extend_from_slice(unit.bytes());
    }
    joined.truncate(bytes);
    joined
}

impl<K: KeyStore> Keys for Stored<K> {
    fn available_bytes(&self, pair: usize) -> u64 {
        let Some(lane) = self.lanes.get(pair) else { return 0 };
        let queued = {
            let waiting = self.waiting();
            waiting.pulled[pair].len() + waiting.ends[pair].len()
        };
        (self.store().available() / u64::from(lane.step) + queued as u64) * UNIT as u64
    }

    fn capacity_bytes(&self, pair: usize) -> u64 {
        let step = self.lanes.get(pair).map_or(1, |lane| lane.step);
        self.capacity_bits / 8 / u64::from(step)
    }

    fn reserve(&self, pair: usize, want: Want) -> Result<Vec<Key>, Unavailable> {
        let wanted_bytes = (want.number as u64).saturating_mul(want.key_bytes as u64);
        let lane = self.lanes.get(pair).filter(|lane| lane.master_here && want.key_bytes <= MOST_BYTES);
        let lane = lane.ok_or(Unavailable::Short { available_bytes: 0, wanted_bytes })?;
        let units = want.key_bytes.div_ceil(UNIT).max(1);
        let ask = Ask { pair, units, number: want.number, step: lane.step };
        let there = self.waiting().cut_all(ask).ok();
        let cuts = match there {
            Some(cuts) => Some(cuts),
            None => {
                let pulled = self.reserving.ask(ask, |asks| self.pull(&asks));
                pulled.unwrap_or_else(|| Err(Unavailable::Failed { what: "a caller failed".into() }))?
            }
        };
        let Some(cuts) = cuts else {
            return Err(Unavailable::Short { available_bytes: self.available_bytes(pair), wanted_bytes });
        };
        let mut keys = Vec::with_capacity(cuts.len());
        for cut in cuts {
            let (place, _) = Place::of_store(cut[0].id);
            let id = Place { bytes: want.key_bytes, ..place }.id();
            let id = id.ok_or_else(|| Unavailable::Failed { what: "a block beyond all bounds".into() })?;
            let bytes = joined(&cut, want.key_bytes);
            if lane.both_here {
                self.waiting().copies.insert((pair, id), bytes.clone());
            }
            keys.push(Key { id, bytes });
        }
        Ok(keys)
    }

    fn collect(&self, pair: usize, ids: &[KeyId]) -> Result<Vec<Key>, Unavailable> {
        let lane = *self.lanes.get(pair).ok_or(Unavailable::NotFound)?;
        if lane.both_here {
            let mut waiting = self.waiting();
            let known = |id: &KeyId| waiting.copies.contains_key(&(pair, *id));
            let mut sorted = ids.to_vec();
            sorted.sort_unstable();
            if !ids.iter().all(known) || sorted.windows(2).any(|two| two[0] == two[1]) {
                return Err(Unavailable::NotFound);
            }
            let take = |id: &KeyId| waiting.copies.remove(&(pair, *id)).map(|bytes| Key { id: *id, bytes });
            return ids.iter().map(take).collect::<Option<_>>().ok_or(Unavailable::NotFound);
        }
        let units: Option<Vec<Vec<_>>> = ids.iter().map(|id| lane.units(*id)).collect();
        let units = units.ok_or(Unavailable::NotFound)?;
        let fetched = self.collecting.ask(units.concat(), |asked| self.fetch(asked));
        let fetched = fetched.unwrap_or_else(|| Err(Unavailable::Failed { what: "a caller failed".into() }));
        let mut taken = fetched?.into_iter();
        let key = |(id, units): (&KeyId, &Vec<store::KeyId>)| {
            let own: Vec<store::Key> = taken.by_ref().take(units.len()).collect();
            Key { id: *id, bytes: joined(&own, Place::of(*id).bytes) }
        };
        Ok(ids.iter().zip(&units).map(key).collect())
    }
}

impl<K: KeyStore> Stored<K> {
    /// Answers callers who collect: each gets all of its units, or none. One sync serves them all.
    fn fetch(&self, asked: Vec<Vec<store::KeyId>>) -> Vec<Fetched> {
        let lacking: Vec<store::KeyId> = {
            let waiting = self.waiting();
            let lacks = |unit: &&store::KeyId| !waiting.returned.contains_key(unit);
            asked.iter().flatten().filter(lacks).copied().collect()
        };
        // Nobody else is here meanwhile, so what was returned stays; masters need not wait for this sync.
        let delivered = if lacking.is_empty() { Ok(Vec::new()) } else { self.store().deliver_each(&lacking) };
        let mut delivered = match delivered {
            Ok(delivered) => delivered.into_iter(),
            Err(error) => return asked.iter().map(|_| Err(failed(&error))).collect(),
        };
        let mut waiting = self.waiting();
        // The same order as above, so that every answer meets its question.
        let mut lacking = lacking.into_iter().peekable();
        let mut answers = Vec::with_capacity(asked.len());
        for units in asked {
            let own = units.into_iter().map(|unit| match lacking.next_if_eq(&unit) {
                Some(_) => delivered.next().unwrap_or(Err(StoreError::Unknown { id: unit })),
                None => waiting.returned.remove(&unit).ok_or(StoreError::Delivered { id: unit }),
            });
            let own = own.collect();
            answers.push(waiting.all_or_none(own));
        }
        answers
    }
}

#[cfg(test)]
mod tests;
