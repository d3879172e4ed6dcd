//! Links of synthetic frames: sources that give the same few frames over and over, and parties.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use keystill::auth::Pool;
use keystill::bb84::Frame;
use keystill::cv;
use keystill::pipeline::{Actor, FrameJob, FrameSource, Pace, Party};
use keystill::protocol::Protocol;
use keystill::session::Config;
use keystill::sim::{SimulatedRandom, simulated_pre_shared_key};
use keystill::stage::Role;

/// BB84 in blocks of four frames.
#[derive(Debug)]
pub(crate) struct Frames {
    pub(crate) role: Role,
    pub(crate) blocks: u64,
    /// How many frames there are before they come again, up to 16.
    pub(crate) different: u64,
}

impl FrameSource<Frame> for Frames {
    fn frame(&self, index: u64) -> FrameJob<Frame> {
        let (role, made) = (self.role, index % self.different);
        Box::new(move |_| {
            let (mut alice, mut bob) = super::frames(made);
            for frame in [&mut alice, &mut bob] {
                match frame {
                    Frame::Alice(frame) => frame.first_gate = index * u64::from(frame.gates),
                    Frame::Bob(frame) => frame.first_gate = index * u64::from(frame.gates),
                }
            }
            Ok(if role == Role::Alice { alice } else { bob })
        })
    }

    fn frames(&self) -> u64 {
        4 * self.blocks
    }

    fn frame_duration(&self) -> Duration {
        Duration::from_micros(150)
    }
}

/// CV in blocks of thirty frames, always the same thirty.
#[derive(Debug)]
pub(crate) struct CvFrames {
    pub(crate) role: Role,
    pub(crate) blocks: u64,
}

impl CvFrames {
    fn made(index: u64) -> &'static (cv::Frame, cv::Frame) {
        static MADE: [OnceLock<(cv::Frame, cv::Frame)>; 30] = [const { OnceLock::new() }; 30];
        MADE[index as usize % 30].get_or_init(|| super::cv_frames(index % 30, 0.0))
    }
}

impl FrameSource<cv::Frame> for CvFrames {
    fn frame(&self, index: u64) -> FrameJob<cv::Frame> {
        let role = self.role;
        Box::new(move |_| {
            let (mut alice, mut bob) = Self::made(index).clone();
            for frame in [&mut alice, &mut bob] {
                match frame {
                    cv::Frame::Alice(frame) => frame.first_symbol = index * 20_000,
                    cv::Frame::Bob(frame) => frame.first_symbol = index * 20_000,
                }
            }
            Ok(if role == Role::Alice { alice } else { bob })
        })
    }

    fn frames(&self) -> u64 {
        30 * self.blocks
    }

    fn frame_duration(&self) -> Duration {
        Duration::from_millis(2)
    }
}

/// Makes all frames, so that none is made where time or memory count.
pub(crate) fn make_frames() {
    (0..4).for_each(|index| drop(super::frames(index)));
    (0..30).for_each(|index| {
        CvFrames::made(index);
    });
}

/// The configuration and the pads of one end.
pub(crate) fn end<P: Protocol>(role: Role, session: u64, protocol: Arc<P>) -> (Config<P>, Pool) {
    let random = Arc::new(SimulatedRandom::new(session, role, P::NAME));
    let pool = Pool::from_pre_shared(&simulated_pre_shared_key(session, P::NAME, 1024)).expect("long enough");
    (Config::new(role, session.into(), protocol, random), pool)
}

/// One end, as fast as it goes.
pub(crate) fn party<P: Protocol>(
    (config, pool): (Config<P>, Pool),
    source: Box<dyn FrameSource<P::Frame>>,
) -> Box<dyn Actor> {
    Box::new(Party::new(config, pool, source, Pace::Max))
}

/// One end of BB84 over a source of four frames.
pub(crate) fn bb84(role: Role, session: u64, blocks: u64) -> Box<dyn Actor> {
    party(end(role, session, super::protocol()), Box::new(Frames { role, blocks, different: 4 }))
}
