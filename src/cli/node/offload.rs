//! A node's workers elsewhere on its site, and whoever listens to its figures there.

use std::path::Path;

use serde_json::Value;

use keystill::pipeline::Workers;

use super::Config;
use crate::cli::Failure;

/// The site, if the configuration names one.
#[derive(Default)]
pub(super) struct Offload {
    #[cfg(feature = "nats")]
    site: Option<std::sync::Arc<keystill::offload::Site>>,
}

impl Offload {
    /// Connects the node's pool to the site. Paths are relative to the configuration's folder.
    pub(super) fn start(config: &Config, path: &Path, workers: Workers) -> Result<(Workers, Self), Failure> {
        let Some(settings) = &config.offload else { return Ok((workers, Self::default())) };
        let settings = path.parent().unwrap_or(Path::new("")).join(settings);
        #[cfg(feature = "nats")]
        {
            let (workers, site) = crate::cli::worker::with_site(workers, Some(&settings))?;
            Ok((workers, Self { site }))
        }
        #[cfg(not(feature = "nats"))]
        {
            let why = "offload: this program was built without it: build it with --features nats";
            Err(Failure::new(
                crate::cli::Exit::Configuration,
                anyhow::anyhow!("{why} ({})", settings.display()),
            ))
        }
    }

    /// Tells the site how the node is.
    pub(super) fn tell(&self, status: &Value) {
        #[cfg(feature = "nats")]
        if let Some(site) = &self.site {
            let (answered, unanswered) = site.counts();
            let mut told = status.clone();
            told["frames_decoded_elsewhere"] = answered.into();
            told["frames_not_answered"] = unanswered.into();
            site.tell(&told.to_string());
        }
        #[cfg(not(feature = "nats"))]
        let _ = status;
    }
}
