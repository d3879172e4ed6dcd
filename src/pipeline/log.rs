//! What actors have to say, as structured logs: names, numbers and reasons, no bit of any key.

use tracing::{debug, error, info, warn};

use crate::session::{BlockReport, Event, Outcome};
use crate::stage::Role;

use super::actor::{Actor, News};

/// Logs news of an actor.
pub(super) fn tell(actor: &dyn Actor, news: &News) {
    let protocol = actor.protocol();
    let role = if actor.role() == Role::Alice { "alice" } else { "bob" };
    match news {
        News::Event(event) => tell_event(protocol, role, event),
        News::Key(key) => {
            debug!(protocol, role, block = key.block(), bits = key.bits().len(), "a key is there");
        }
        News::Took { block, stage_s } => {
            debug!(protocol, role, block, seconds = stage_s.values().sum::<f64>(), "computing took");
        }
        News::Restarted(error) => warn!(protocol, role, %error, "the session begins again"),
        News::Resting(error) => warn!(protocol, role, %error, "rests until its source is back"),
        News::Back => info!(protocol, role, "the source is back"),
        News::Stopped(error) => error!(protocol, role, %error, "stops"),
    }
}

fn tell_event(protocol: &str, role: &str, event: &Event) {
    match event {
        Event::PeerReady { block } => info!(protocol, role, block, "the peer is there"),
        Event::PeerLost => warn!(protocol, role, "the peer is gone; open blocks are lost"),
        Event::Settled { block, committed } => {
            info!(protocol, role, block, committed, "a block that was in doubt is settled");
        }
        Event::TransmittanceMoved { block, before, after, deviations } => {
            warn!(protocol, role, block, before, after, deviations, "the transmittance moved");
        }
        Event::Block(report) => tell_block(protocol, role, report),
    }
}

fn tell_block(protocol: &str, role: &str, report: &BlockReport) {
    let figure =
        |name: &str| report.figures.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
    let (qber, snr, excess_noise_snu) = (figure("qber"), figure("snr"), figure("excess_noise_snu"));
    let (block, disclosed_bits) = (report.block, report.ledger.disclosed_bits());
    match &report.outcome {
        Outcome::Key { secret_bits, refilled_bits } => info!(
            protocol,
            role,
            block,
            secret_bits,
            refilled_bits,
            disclosed_bits,
            epsilon = report.ledger.epsilon(),
            qber,
            snr,
            excess_noise_snu,
            "a block left key"
        ),
        Outcome::Aborted(abort) => warn!(
            protocol, role, block, reason = %abort, qber, snr, excess_noise_snu, "a block left no key"
        ),
    }
}
