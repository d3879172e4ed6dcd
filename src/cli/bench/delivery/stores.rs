//! Two ends of a link, filled with the same keys.

use std::path::Path;
use std::sync::{Arc, Mutex};

use anyhow::Context;
use zeroize::Zeroizing;

use keystill::bits::BitBlock;
use keystill::deliver::{Here, Keys, Memory, Pair, Stored};
use keystill::random::{Draw, OperatingSystem, Purpose, RandomSource};
use keystill::session::Entry;
use keystill::store::{Folder, KEY_BITS, KeyStore, Limits, Store};

/// What holds the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Kind {
    Memory,
    Journal,
    #[cfg(feature = "postgres")]
    Postgres,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Journal => "journal",
            #[cfg(feature = "postgres")]
            Self::Postgres => "postgres",
        }
    }
}

/// Keys that are pulled ahead of requests, and never asked for.
const AHEAD: u64 = 4096;

/// Both ends, each with the same `keys` fresh keys and some to spare.
#[cfg_attr(not(feature = "postgres"), expect(unused_variables, reason = "a database only with PostgreSQL"))]
pub(super) fn two_ends(
    kind: Kind,
    (folder, database): (&Path, &str),
    keys: u64,
    pairs: &[Pair],
) -> anyhow::Result<[Arc<dyn Keys>; 2]> {
    let length = usize::try_from((keys + AHEAD) * KEY_BITS as u64 / 8)?;
    let mut bytes = Zeroizing::new(vec![0; length]);
    let draw = Draw { block: 0, purpose: Purpose::KeyBits, index: 0 };
    OperatingSystem.draw(draw, &mut bytes).context("the random generator is not available")?;
    let end = |kme: &'static str| -> anyhow::Result<Arc<dyn Keys>> {
        Ok(match kind {
            Kind::Memory => {
                let here = Here { master: kme == "kme-a", slave: kme == "kme-b" };
                let memory = Memory::new(&[here], bytes.len() as u64);
                memory.add(0, 1, bytes.clone());
                Arc::new(memory)
            }
            Kind::Journal => shared_out(journal(&folder.join(kme), &bytes)?, kme, pairs)?,
            #[cfg(feature = "postgres")]
            Kind::Postgres => {
                let mut journal = journal(&folder.join(kme), &bytes)?;
                shared_out(postgres(&mut journal, database, kme)?, kme, pairs)?
            }
        })
    };
    Ok([end("kme-a")?, end("kme-b")?])
}

fn shared_out<K: KeyStore + 'static>(store: K, kme: &str, pairs: &[Pair]) -> anyhow::Result<Arc<dyn Keys>> {
    Ok(Arc::new(Stored::new(Arc::new(Mutex::new(store)), kme, pairs, u64::MAX)?))
}

/// A node's store with one block of key.
fn journal(folder: &Path, bytes: &[u8]) -> anyhow::Result<Store<Folder>> {
    let limits = Limits { capacity_bits: u64::MAX, ..Limits::default() };
    let mut store = Store::open(Folder::open(folder)?, limits)?;
    store.install("bb84", 1, &[0; KEY_BITS / 8 * 3])?;
    let (spent, bits) = ([1; 2], BitBlock::from_bytes(bytes, 8 * bytes.len()));
    for entry in [
        Entry::Prepare { block: 0, spent, tag: [0; 16], bits, refill_bits: 0 },
        Entry::Ready { block: 0, spent, tag: [0; 16], accepted: [0; 32] },
        Entry::Commit { block: 0, spent, epsilon: 0.0 },
    ] {
        store.write("bb84", &entry)?;
    }
    store.sync()?;
    Ok(store)
}

/// A schema of its own in a database, with all keys of a node's store.
#[cfg(feature = "postgres")]
fn postgres(
    from: &mut impl KeyStore,
    database: &str,
    kme: &str,
) -> anyhow::Result<keystill::store::Postgres> {
    use keystill::store::{Database, Postgres, Share, SiteKey};
    let schema = schema(kme);
    Database::new(database, None)?.execute(&format!("CREATE SCHEMA {schema}"))?;
    let own = Database::new(&format!("{database} options='-c search_path={schema}'"), None)?;
    let site = Arc::new(SiteKey::new(Zeroizing::new([0; 32])));
    let mut to = Postgres::open(own, site)?;
    loop {
        let keys = from.deliver_next(Share::All, 4096)?;
        if keys.is_empty() {
            return Ok(to);
        }
        to.deposit(&keys)?;
    }
}

#[cfg(feature = "postgres")]
fn schema(kme: &str) -> String {
    format!("keystill_bench_{}_{}", std::process::id(), kme.replace('-', "_"))
}

/// Removes what [`two_ends`] left in a database.
#[cfg(feature = "postgres")]
pub(super) fn clear(database: &str) -> anyhow::Result<()> {
    let database = keystill::store::Database::new(database, None)?;
    for kme in ["kme-a", "kme-b"] {
        database.execute(&format!("DROP SCHEMA IF EXISTS {} CASCADE", schema(kme)))?;
    }
    Ok(())
}
