//! How a node is: a small JSON file in its state folder, written anew every second.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use keystill::pipeline::{Actor, News};
use keystill::session::{Event, Outcome};
use keystill::stage::Role;
use keystill::store::{Combination, KeyStore};
use serde_json::{Value, json};

use crate::cli::world::NodeStore;
use crate::cli::{Exit, Failure, OrExit};

const FILE: &str = "status.json";

/// What a node tells of itself.
pub(super) struct Status {
    role: Role,
    folder: Option<PathBuf>,
    store: Option<NodeStore>,
    began: Instant,
    told: Instant,
    /// Connections lost so far.
    pub(super) connections: u64,
    protocols: BTreeMap<String, Counts>,
}

#[derive(Default)]
struct Counts {
    live: bool,
    blocks: u64,
    blocks_without_key: u64,
    secret_bits: u64,
    restarts: u64,
    /// Why it takes no part now: its source is gone, or it is over.
    resting: Option<String>,
    stopped: Option<String>,
    last_abort: Option<String>,
    last_error: Option<String>,
    figures: Vec<(&'static str, f64)>,
}

impl Status {
    pub(super) fn new(role: Role, folder: Option<PathBuf>, store: Option<NodeStore>) -> Self {
        let now = Instant::now();
        Self { role, folder, store, began: now, told: now, connections: 0, protocols: BTreeMap::new() }
    }

    pub(super) fn hear(&mut self, protocol: &str, news: &News) {
        let counts = self.protocols.entry(protocol.to_owned()).or_default();
        match news {
            News::Event(Event::PeerReady { .. }) => counts.live = true,
            News::Event(Event::PeerLost) => counts.live = false,
            News::Event(Event::Block(report)) => {
                counts.blocks += 1;
                counts.figures.clone_from(&report.figures);
                match &report.outcome {
                    Outcome::Key { secret_bits, .. } => counts.secret_bits += secret_bits,
                    Outcome::Aborted(abort) => {
                        counts.blocks_without_key += 1;
                        counts.last_abort = Some(abort.to_string());
                    }
                }
            }
            News::Restarted(error) => {
                counts.live = false;
                counts.restarts += 1;
                counts.last_error = Some(error.to_string());
            }
            News::Resting(error) => {
                counts.live = false;
                counts.resting = Some(error.to_string());
                counts.last_error = Some(error.to_string());
            }
            News::Back => counts.resting = None,
            News::Stopped(error) => {
                (counts.live, counts.resting) = (false, None);
                counts.stopped = Some(error.to_string());
                counts.last_error = Some(error.to_string());
            }
            News::Event(_) | News::Key(_) | News::Took { .. } => {}
        }
    }

    /// Whether the last telling is a second ago.
    pub(super) fn is_due(&self) -> bool {
        self.told.elapsed() > Duration::from_secs(1)
    }

    /// Writes the file anew, and returns what it says.
    pub(super) fn tell(&mut self, actors: &[Box<dyn Actor>], state: &str) -> Value {
        self.told = Instant::now();
        let status = self.json(actors, state);
        let Some(folder) = &self.folder else { return status };
        let next = folder.join("status.json.next");
        // Whether somebody can read how the node is must not stop it.
        let _ = std::fs::write(&next, format!("{status}\n"))
            .and_then(|()| std::fs::rename(&next, folder.join(FILE)));
        status
    }

    fn json(&self, actors: &[Box<dyn Actor>], state: &str) -> Value {
        let protocols = actors.iter().map(|actor| {
            let (taken, all) = actor.progress();
            let (reserves, queues) = (actor.reserves(), actor.queues());
            let default = Counts::default();
            let counts = self.protocols.get(actor.protocol()).unwrap_or(&default);
            let figures: serde_json::Map<String, Value> =
                counts.figures.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
            json!({
                "protocol": actor.protocol(),
                "live": counts.live,
                "frames_taken": taken,
                "frames": all,
                "blocks": counts.blocks,
                "blocks_without_key": counts.blocks_without_key,
                "secret_bits": counts.secret_bits,
                "restarts": counts.restarts,
                "resting": counts.resting,
                "stopped": counts.stopped,
                "pads_for_blocks": reserves.pads_for_blocks,
                "epsilon_spent": reserves.epsilon_spent,
                "epsilon_cap": reserves.epsilon_cap,
                "waiting": {
                    "frames": queues.frames,
                    "computations": queues.computations,
                    "messages": queues.messages,
                },
                "last_abort": counts.last_abort,
                "last_error": counts.last_error,
                "last_block": figures,
            })
        });
        let store = self.store.as_ref().map(|store| {
            let store = store.lock().unwrap_or_else(PoisonError::into_inner);
            json!({
                "keys": store.available(),
                "bits": store.held_bits(),
                "combination": if store.combination() == Combination::Xor { "xor" } else { "either" },
                "epsilon": store.epsilon(),
            })
        });
        json!({
            "event": "status",
            "role": if self.role == Role::Alice { "alice" } else { "bob" },
            "state": state,
            "process": std::process::id(),
            "uptime_s": self.began.elapsed().as_secs_f64(),
            "version": env!("CARGO_PKG_VERSION"),
            "resident_bytes": crate::cli::machine::resident_bytes(),
            "connections_lost": self.connections,
            "protocols": protocols.collect::<Vec<_>>(),
            "store": store,
        })
    }
}

/// Prints what the node of a state folder told last.
pub(super) fn print(folder: Option<&Path>) -> Result<(), Failure> {
    let folder = folder.ok_or_else(|| anyhow!("--status needs a state folder: --state DIR"));
    let path = folder.or_exit(Exit::Usage)?.join(FILE);
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string());
    print!("{}", text.or_exit(Exit::Storage)?);
    Ok(())
}
