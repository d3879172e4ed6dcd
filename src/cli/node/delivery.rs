//! Delivery of a node's keys while it runs.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::anyhow;
use serde_json::Value;

use super::Config;
#[cfg(feature = "serve")]
use crate::cli::OrExit;
use crate::cli::world::NodeStore;
use crate::cli::{Exit, Failure};

/// A server beside the node, if the configuration asks for one.
#[derive(Default)]
pub(super) struct Delivery {
    #[cfg(feature = "serve")]
    server: Option<crate::cli::serve::Alongside>,
    /// Writes keys into a folder until it is dropped.
    #[cfg(feature = "serve")]
    _mover: Option<keystill::deliver::Mover>,
}

impl Delivery {
    /// Starts it. Paths are relative to the configuration's folder.
    pub(super) fn start(config: &Config, path: &Path, store: Option<&NodeStore>) -> Result<Self, Failure> {
        let (way, serve) = match (&config.serve, &config.drop) {
            (None, None) => return Ok(Self::default()),
            (Some(serve), None) => ("serve", serve),
            (None, Some(folder)) => ("drop", folder),
            (Some(_), Some(_)) => {
                let why = anyhow!("give one of `serve` and `drop`: a key is delivered once");
                return Err(Failure::new(Exit::Configuration, why));
            }
        };
        let wrong = |why: &str| Err(Failure::new(Exit::Configuration, anyhow!("{way}: {why}")));
        let Some(store) = store else {
            return wrong("keys are delivered out of a state folder: give `state`, or --state DIR");
        };
        #[cfg(feature = "serve")]
        {
            let path = path.parent().unwrap_or(Path::new("")).join(serve);
            if way == "drop" {
                let to = keystill::deliver::FileDrop::new(&path).or_exit(Exit::Configuration)?;
                let mover = keystill::deliver::Mover::start(store.clone(), to);
                return Ok(Self { server: None, _mover: Some(mover) });
            }
            let server = crate::cli::serve::Alongside::start(&path, store.clone())?;
            Ok(Self { server: Some(server), _mover: None })
        }
        #[cfg(not(feature = "serve"))]
        {
            let _ = (serve, path, store);
            wrong("this program was built without delivery: build it with --features serve")
        }
    }

    /// Goes on delivering until the node is asked to end.
    pub(super) fn until(&self, stop: &AtomicBool) {
        #[cfg(feature = "serve")]
        let serving = self.server.is_some();
        #[cfg(not(feature = "serve"))]
        let serving = false;
        while serving && !stop.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Tells Prometheus how the node is.
    pub(super) fn measure(&self, status: &Value) {
        #[cfg(feature = "serve")]
        if let Some(server) = &self.server {
            server.metrics().set_gauges(gauges(status));
        }
        #[cfg(not(feature = "serve"))]
        let _ = status;
    }
}

/// The figures that have a metric.
#[cfg(feature = "serve")]
fn gauges(status: &Value) -> Vec<keystill::deliver::Gauge> {
    let gauge = |sample: super::metrics::Sample| keystill::deliver::Gauge {
        name: sample.name.to_owned(),
        labels: sample.protocol.into_iter().map(|own| ("protocol".to_owned(), own)).collect(),
        help: sample.help.to_owned(),
        value: sample.value,
    };
    super::metrics::samples(status).into_iter().map(gauge).collect()
}

#[cfg(all(test, feature = "serve"))]
mod tests {
    use serde_json::json;

    #[test]
    fn figures_become_gauges() {
        let status = json!({ "protocols": [
            { "protocol": "bb84", "secret_bits": 5, "last_block": { "qber": 0.03 } },
            { "protocol": "cv", "last_block": { "snr": 0.2 } },
        ] });
        let gauges: Vec<(String, f64)> =
            super::gauges(&status).into_iter().map(|own| (own.name, own.value)).collect();
        let expected =
            [("keystill_secret_bits", 5.0), ("keystill_qber_ratio", 0.03), ("keystill_cv_snr_ratio", 0.2)];
        assert_eq!(
            gauges,
            expected.map(|(name, value)| (name.to_owned(), value)),
            "what is told, and no more"
        );
    }
}
