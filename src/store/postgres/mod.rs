//! A key store in PostgreSQL, for several front-ends of one site.
//!
//! # Once, durably
//! A key is a row, and to deliver it is to delete the row. Front-ends that take the next keys skip rows
//! that another is taking (`FOR UPDATE SKIP LOCKED`); who asks for the same ID waits, and then finds it
//! gone. A deletion is confirmed once it is on the server's disk: `synchronous_commit` is on at least,
//! and a server that runs with `fsync = off` is refused. If the confirmation is lost, so is the key.
//!
//! # At rest
//! Rows are sealed ([`SiteKey`]): the database, its write-ahead log and its copies hold no key in the
//! clear. A deleted row stays in them for a while, so unlike the embedded store's vault the files say what
//! was delivered to whoever also has the site's key: both belong to the trusted node.
//!
//! # Where the keys come from
//! A node moves the keys of its own store here ([`Postgres::deposit`]); each place of a block is taken
//! once, however often it comes. Places of a block come in ascending order.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use postgres::config::{Host, SslMode};
use postgres::{Client, Config, NoTls, Row, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::seal::SiteKey;
use super::vault::SECRET;
use super::{Key, KeyId, KeyStore, Share, StoreError};

/// The format of the tables.
const VERSION: i32 = 1;

const SCHEMA: &str = include_str!("schema.sql");

/// Front-ends that start at once make the tables one after the other: any number that they share.
const LOCK: i64 = 0x6b65_7973_7469_6c6c;

const CLAIM_NEXT: &str = "
    DELETE FROM keystill_key WHERE seq = ANY(ARRAY(
        SELECT seq FROM keystill_key ORDER BY seq LIMIT $1 FOR UPDATE SKIP LOCKED))
    RETURNING seq, id, sealed";

const CLAIM_SHARE: &str = "
    DELETE FROM keystill_key WHERE seq = ANY(ARRAY(
        SELECT seq FROM keystill_key WHERE odd = $2 ORDER BY seq LIMIT $1 FOR UPDATE SKIP LOCKED))
    RETURNING seq, id, sealed";

/// In the order of rows, so that two who ask for the same keys never wait for each other.
const CLAIM_IDS: &str = "
    DELETE FROM keystill_key WHERE seq = ANY(ARRAY(
        SELECT seq FROM keystill_key WHERE id = ANY($1) ORDER BY seq FOR UPDATE))
    RETURNING seq, id, sealed";

const BLOCKS: &str = "
    SELECT link, block, next_place FROM keystill_block
    WHERE (link, block) IN (SELECT * FROM unnest($1::bytea[], $2::bigint[]))";

const OPEN_BLOCK: &str = "
    INSERT INTO keystill_block VALUES ($1, $2, 0) ON CONFLICT (link, block) DO UPDATE SET block = $2
    RETURNING next_place";

const ADVANCE_BLOCK: &str = "UPDATE keystill_block SET next_place = $3 WHERE link = $1 AND block = $2";

const INSERT: &str = "
    INSERT INTO keystill_key (id, odd, sealed) SELECT * FROM unnest($1::bytea[], $2::boolean[], $3::bytea[])";

/// Where the database is.
#[derive(Clone, Debug)]
pub struct Database {
    config: Config,
    tls: Option<Arc<ClientConfig>>,
}

impl Database {
    /// A database by a connection string of PostgreSQL (`host=/run/postgresql dbname=keystill`, or a URL).
    /// `authority` is who certifies the server; TLS is always used with it, and without it only sockets
    /// of this machine are.
    ///
    /// # Errors
    /// [`StoreError::Database`] that says what to change.
    pub fn new(connection: &str, authority: Option<&PathBuf>) -> Result<Self, StoreError> {
        let mut config: Config = connection.parse().map_err(failed)?;
        let near = |host: &Host| match host {
            Host::Tcp(name) => matches!(name.as_str(), "localhost" | "127.0.0.1" | "::1"),
            #[cfg(unix)]
            Host::Unix(_) => true,
        };
        let Some(authority) = authority else {
            if config.get_hosts().iter().all(near) {
                config.ssl_mode(SslMode::Disable);
                return Ok(Self { config, tls: None });
            }
            let what = "a server on another machine is reached over TLS only: give its `authority`";
            return Err(StoreError::Database { what: what.into() });
        };
        let wrong = |error: &dyn fmt::Display| StoreError::Database {
            what: format!("authority {}: {error}", authority.display()),
        };
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(authority).map_err(|error| wrong(&error))? {
            roots.add(certificate.map_err(|error| wrong(&error))?).map_err(|error| wrong(&error))?;
        }
        let tls = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong(&error))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.ssl_mode(SslMode::Require);
        Ok(Self { config, tls: Some(Arc::new(tls)) })
    }

    /// Runs statements of an operator: makes or drops a schema, say.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn execute(&self, statements: &str) -> Result<(), StoreError> {
        self.connect()?.batch_execute(statements).map_err(failed)
    }

    fn connect(&self) -> Result<Client, StoreError> {
        let connected = match &self.tls {
            Some(tls) => self.config.connect(MakeRustlsConnect::new((**tls).clone())),
            None => self.config.connect(NoTls),
        };
        connected.map_err(failed)
    }
}

/// A connection and what is asked over it.
struct Session {
    client: Client,
    claim_next: Statement,
    claim_share: Statement,
    claim_ids: Statement,
}

impl Session {
    /// Makes the tables if there are none, and sees that what is confirmed lasts.
    fn new(mut client: Client) -> Result<Self, StoreError> {
        client
            .batch_execute(
                // Rows are found by key, always: a table that was just filled has no statistics, and by them the planner
                // would sometimes read the whole of it for every claim.
                "SET default_transaction_isolation = 'read committed';
                 SET enable_seqscan = off;
                 SET jit = off;
                 SELECT set_config('synchronous_commit', 'on', false)
                 WHERE current_setting('synchronous_commit') IN ('off', 'local')",
            )
            .map_err(failed)?;
        let fsync: String = client.query_one("SHOW fsync", &[]).map_err(failed)?.get(0);
        if fsync != "on" {
            let what = "it runs with fsync = off, so a delivered key could come back after a crash";
            return Err(StoreError::Database { what: what.into() });
        }
        let mut transaction = client.transaction().map_err(failed)?;
        transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).map_err(failed)?;
        let there = "SELECT to_regclass('keystill_schema') IS NOT NULL";
        let there: bool = transaction.query_one(there, &[]).map_err(failed)?.get(0);
        if !there {
            transaction.batch_execute(SCHEMA).map_err(failed)?;
        }
        let version = transaction.query_one("SELECT version FROM keystill_schema", &[]);
        let version: i32 = version.map_err(failed)?.get(0);
        if version != VERSION {
            let what = format!("its tables have format {version}, this program knows format {VERSION}");
            return Err(StoreError::Database { what });
        }
        transaction.commit().map_err(failed)?;
        let claim_next = client.prepare(CLAIM_NEXT).map_err(failed)?;
        let claim_share = client.prepare(CLAIM_SHARE).map_err(failed)?;
        let claim_ids = client.prepare(CLAIM_IDS).map_err(failed)?;
        Ok(Self { client, claim_next, claim_share, claim_ids })
    }

    fn deposit(&mut self, keys: &[Key], site: &SiteKey) -> Result<(), StoreError> {
        let mut transaction = self.client.transaction().map_err(failed)?;
        for keys in keys.chunk_by(|one, next| block_of(one.id) == block_of(next.id)) {
            let (link, block) = block_of(keys[0].id);
            let opened = transaction.query_one(OPEN_BLOCK, &[&link.as_slice(), &block]).map_err(failed)?;
            let next_place: i64 = opened.get(0);
            let fresh = |key: &&Key| place_of(key.id) >= next_place;
            let (mut ids, mut odd, mut sealed) = (Vec::new(), Vec::new(), Vec::new());
            for key in keys.iter().filter(fresh) {
                ids.push(key.id.bytes().to_vec());
                odd.push(place_of(key.id) % 2 == 1);
                let row = site.seal(&key.id.bytes(), &key.bytes).ok_or_else(|| StoreError::Database {
                    what: "the random generator is not available".into(),
                })?;
                sealed.push(row);
            }
            let next = keys.iter().map(|key| place_of(key.id) + 1).max().unwrap_or(0).max(next_place);
            transaction.execute(INSERT, &[&ids, &odd, &sealed]).map_err(failed)?;
            transaction.execute(ADVANCE_BLOCK, &[&link.as_slice(), &block, &next]).map_err(failed)?;
        }
        transaction.commit().map_err(failed)
    }

    /// Of those IDs that are not there, which were: by their blocks.
    fn next_places(&mut self, ids: &[KeyId]) -> Result<Vec<([u8; 6], i64, i64)>, StoreError> {
        let mut blocks: Vec<([u8; 6], i64)> = ids.iter().map(|id| block_of(*id)).collect();
        blocks.sort_unstable();
        blocks.dedup();
        let links: Vec<Vec<u8>> = blocks.iter().map(|(link, _)| link.to_vec()).collect();
        let numbers: Vec<i64> = blocks.iter().map(|(_, block)| *block).collect();
        let rows = self.client.query(BLOCKS, &[&links, &numbers]).map_err(failed)?;
        let found = |row: &Row| {
            let link: Vec<u8> = row.get(0);
            let mut own = [0; 6];
            own.copy_from_slice(link.get(..6)?);
            Some((own, row.get(1), row.get(2)))
        };
        Ok(rows.iter().filter_map(found).collect())
    }
}

fn block_of(id: KeyId) -> ([u8; 6], i64) {
    let (link, block, _) = id.parts();
    // A block's number has 48 bits.
    (link, i64::try_from(block).unwrap_or(i64::MAX))
}

fn place_of(id: KeyId) -> i64 {
    i64::from(id.parts().2)
}

#[expect(clippy::needless_pass_by_value, reason = "a step of `map_err`")]
fn failed(error: postgres::Error) -> StoreError {
    let said = error.as_db_error().map(|said| said.message().to_owned());
    StoreError::Database { what: said.unwrap_or_else(|| chain(&error)) }
}

/// An error with its causes: the client's own says only where it happened.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// A handle on a site's key store in PostgreSQL: a connection of its own, made anew when it breaks.
///
/// It waits for the server, also when it is dropped: use and drop it outside of async code.
pub struct Postgres {
    database: Database,
    site: Arc<SiteKey>,
    session: Mutex<Option<Session>>,
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres").field("database", &self.database).finish_non_exhaustive()
    }
}

impl Postgres {
    /// Connects, and makes the tables if there are none.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn open(database: Database, site: Arc<SiteKey>) -> Result<Self, StoreError> {
        let session = Session::new(database.connect()?)?;
        Ok(Self { database, site, session: Mutex::new(Some(session)) })
    }

    /// Takes in keys, each once: what was taken in before is passed over. The places of a block come in
    /// ascending order. Lasting once it returns.
    ///
    /// # Errors
    /// [`StoreError::Database`]: call again with the same keys.
    pub fn deposit(&mut self, keys: &[Key]) -> Result<(), StoreError> {
        let site = self.site.clone();
        self.with(|session| session.deposit(keys, &site))
    }

    fn with<T>(&self, act: impl FnOnce(&mut Session) -> Result<T, StoreError>) -> Result<T, StoreError> {
        // A session that failed is dropped below: the lock guards nothing half-done.
        let mut held = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let mut session = match held.take() {
            Some(session) if !session.client.is_closed() => session,
            _ => Session::new(self.database.connect()?)?,
        };
        let done = act(&mut session);
        if done.is_ok() {
            *held = Some(session);
        }
        done
    }

    /// Keys of claimed rows, oldest first; rows that do not open are lost.
    fn opened(&self, mut rows: Vec<Row>) -> Vec<Result<Key, StoreError>> {
        rows.sort_by_key(|row| row.get::<_, i64>(0));
        let open = |row: &Row| {
            let (id, sealed): (&[u8], &[u8]) = (row.get(1), row.get(2));
            let id = KeyId::from_bytes(id.try_into().unwrap_or_default());
            let secret = self.site.open(&id.bytes(), sealed);
            let whole = secret.filter(|secret| secret.len() == SECRET).ok_or(StoreError::Spoilt { id })?;
            let mut key = Key { id, bytes: [0; SECRET] };
            key.bytes.copy_from_slice(&whole);
            Ok(key)
        };
        rows.iter().map(open).collect()
    }
}

impl KeyStore for Postgres {
    fn available(&self) -> u64 {
        let counted = self.with(|session| {
            session.client.query_one("SELECT count(*) FROM keystill_key", &[]).map_err(failed)
        });
        // A database that cannot be asked has no key to deliver.
        counted.map_or(0, |row| u64::try_from(row.get::<_, i64>(0)).unwrap_or(0))
    }

    fn deliver_next(&mut self, share: Share, most: usize) -> Result<Vec<Key>, StoreError> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let rows = self.with(|session| {
            let Session { client, claim_next, claim_share, .. } = session;
            let claimed = match share {
                Share::All => client.query(&*claim_next, &[&most]),
                Share::Even => client.query(&*claim_share, &[&most, &false]),
                Share::Odd => client.query(&*claim_share, &[&most, &true]),
            };
            claimed.map_err(failed)
        })?;
        Ok(self.opened(rows).into_iter().filter_map(Result::ok).collect())
    }

    fn deliver(&mut self, id: KeyId) -> Result<Key, StoreError> {
        let answer = self.deliver_each(&[id])?.pop();
        answer.unwrap_or(Err(StoreError::Unknown { id }))
    }

    fn deliver_each(&mut self, ids: &[KeyId]) -> Result<Vec<Result<Key, StoreError>>, StoreError> {
        let asked: Vec<Vec<u8>> = ids.iter().map(|id| id.bytes().to_vec()).collect();
        let rows =
            self.with(|session| session.client.query(&session.claim_ids, &[&asked]).map_err(failed))?;
        let mut there = std::collections::BTreeMap::new();
        for answer in self.opened(rows) {
            let id = match &answer {
                Ok(key) => key.id,
                Err(StoreError::Spoilt { id }) => *id,
                Err(_) => continue,
            };
            there.insert(id, answer);
        }
        let missing: Vec<KeyId> = ids.iter().copied().filter(|id| !there.contains_key(id)).collect();
        // The keys that are claimed are delivered all the same if this question finds no answer.
        let places = if missing.is_empty() {
            Vec::new()
        } else {
            self.with(|session| session.next_places(&missing)).unwrap_or_default()
        };
        let missing = |id: KeyId| {
            let (link, block) = block_of(id);
            let came = places
                .iter()
                .any(|(own, number, next)| (*own, *number) == (link, block) && place_of(id) < *next);
            if came { StoreError::Delivered { id } } else { StoreError::Unknown { id } }
        };
        let claimed: std::collections::BTreeSet<KeyId> = there.keys().copied().collect();
        Ok(ids
            .iter()
            .map(|id| match there.remove(id) {
                Some(answer) => answer,
                None if claimed.contains(id) => Err(StoreError::Delivered { id: *id }),
                None => Err(missing(*id)),
            })
            .collect())
    }
}

#[cfg(test)]
mod tests;
