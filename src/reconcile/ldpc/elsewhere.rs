//! A frame decoded on another machine of the site: the decoder is a pure function of what it is given, so a
//! question may be asked twice, answered twice, or not at all.
//!
//! ```text
//! question = plan · own bits: bit string · syndrome: bit string · count · (place: varint, value: u8)…
//! answer   = iterations: u32 · 0 more, 2 too many errors, or 1 and the corrected bits: bit string
//! ```
//!
//! An answer with bits counts only if they meet the syndrome, which costs a fraction of finding them; that
//! they are the reference side's is what verification shows, wherever they were found. An answer without
//! bits costs an increment or the frame, as a failed shot does.

use keystill_kernels::ldpc::bsc as kernel;
use zeroize::Zeroizing;

use super::shot::{End, MOST_ITERATIONS, Scratch};
use super::{Plan, Shot};
use crate::bits::BitBlock;
use crate::stage::{Elsewhere, Workbench};
use crate::wire::{Malformed, Reader, Writer};

/// Answers a question by decoding.
///
/// # Errors
/// [`Malformed`] if it is not one.
pub fn answer(question: &[u8], bench: &mut Workbench) -> Result<Zeroizing<Vec<u8>>, Malformed> {
    let (end, iterations) = Shot::read(question)?.decode(bench);
    let mut writer = Writer::new();
    writer.u32(iterations);
    match &end {
        End::More => writer.u8(0),
        End::Found(bits) => writer.u8(1).bits(bits),
        End::Beyond => writer.u8(2),
    };
    Ok(Zeroizing::new(writer.finish()))
}

impl Shot {
    /// Has the frame decoded elsewhere. `None` if nobody did, or not rightly.
    pub(super) fn ask(&self, elsewhere: &dyn Elsewhere, bench: &mut Workbench) -> Option<(End, u32)> {
        let answer = elsewhere.ask(&self.write())?;
        let (end, iterations) = self.hear(&answer).ok()?;
        let is_right = match &end {
            End::Found(bits) => self.is_met_by(bench, bits),
            End::More | End::Beyond => true,
        };
        is_right.then_some((end, iterations))
    }

    fn hear(&self, answer: &[u8]) -> Result<(End, u32), Malformed> {
        let wrong = Malformed::Field { field: "ldpc answer" };
        let mut reader = Reader::new(answer);
        let iterations = reader.u32()?;
        let end = match reader.u8()? {
            0 => End::More,
            1 => End::Found(reader.bits(self.bits.len(), "ldpc answer")?),
            2 => End::Beyond,
            _ => return Err(wrong),
        };
        reader.end()?;
        let whole = !matches!(&end, End::Found(bits) if bits.len() != self.bits.len());
        if whole && iterations <= MOST_ITERATIONS { Ok((end, iterations)) } else { Err(wrong) }
    }

    /// Whether bits have the syndrome that was told.
    fn is_met_by(&self, bench: &mut Workbench, bits: &BitBlock) -> bool {
        let isa = bench.isa();
        let scratch = bench.scratch::<Scratch>();
        self.plan.interleaver().weave(isa, bits, &mut scratch.between, &mut scratch.words);
        let graph = self.plan.code().graph();
        let (syndrome, halves) = self.syndrome.words().split_at(graph.syndrome_words());
        let is_met = kernel::is_satisfied(isa, graph, syndrome, halves, &scratch.words);
        scratch.wipe();
        is_met
    }

    fn write(&self) -> Zeroizing<Vec<u8>> {
        let mut writer = Writer::new();
        self.plan.write(&mut writer);
        writer.bits(&self.bits).bits(&self.syndrome).count(self.certain.len());
        for (place, value) in &self.certain {
            writer.count(*place).u8(u8::from(*value));
        }
        Zeroizing::new(writer.finish())
    }

    fn read(question: &[u8]) -> Result<Self, Malformed> {
        let wrong = Malformed::Field { field: "ldpc question" };
        let mut reader = Reader::new(question);
        let plan = Plan::read(&mut reader)?;
        let bits = reader.bits(plan.frame_bits(), "ldpc question")?;
        let syndrome = reader.bits(2 * plan.code().checks(), "ldpc question")?;
        if bits.is_empty() || syndrome.len() < plan.syndrome_bits() || !syndrome.len().is_multiple_of(64) {
            return Err(wrong);
        }
        let count = reader.count(bits.len(), "ldpc question")?;
        let mut certain = Vec::with_capacity(count);
        for _ in 0..count {
            let place = reader.count(bits.len() - 1, "ldpc question")?;
            certain.push((place, reader.u8()? == 1));
        }
        reader.end()?;
        Ok(Self { plan, bits, syndrome, certain })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use keystill_kernels::Isa;

    use super::*;
    use crate::stage::Job;

    /// A frame of 4096 bits with a few errors, and the bits it is to be corrected to.
    fn shot() -> (Shot, BitBlock) {
        let plan = Plan::choose(0.02, 4096).expect("a plan");
        let truth =
            BitBlock::from_words((0..64).map(|i: u64| i.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect(), 4096);
        let mut bits = truth.slice(0..4096);
        (0..40).for_each(|i| bits.set(i * 97, !truth.bit(i * 97)));
        let bench = &mut Workbench::new(Isa::best());
        let (_, syndrome) =
            super::super::Syndrome { plan: plan.clone(), bits: truth.slice(0..4096) }.run(bench);
        let syndrome = syndrome.slice(0..plan.syndrome_bits());
        (Shot { plan, bits, syndrome, certain: vec![(7, truth.bit(7))] }, truth)
    }

    /// Answers by `change` of the right answer.
    struct Site(fn(&mut Vec<u8>), AtomicUsize);

    impl std::fmt::Debug for Site {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("Site")
        }
    }

    impl Elsewhere for Site {
        fn ask(&self, question: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
            self.1.fetch_add(1, Ordering::Relaxed);
            let mut right = answer(question, &mut Workbench::new(Isa::SCALAR)).expect("a question");
            (self.0)(&mut right);
            Some(right)
        }
    }

    #[test]
    fn a_frame_decoded_elsewhere_is_the_frame_decoded_here() {
        let (shot, truth) = shot();
        let here = shot.decode(&mut Workbench::new(Isa::best()));
        let site = Site(|_| (), AtomicUsize::new(0));
        let there = shot.ask(&site, &mut Workbench::new(Isa::best())).expect("a good answer");
        assert_eq!(there, here, "end and iterations");
        assert_eq!(there.0, End::Found(truth), "and the bits are right");
    }

    #[test]
    fn a_wrong_answer_is_found_out_and_the_frame_decoded_here() {
        let wrong: [fn(&mut Vec<u8>); 4] = [
            |answer| answer[40] ^= 4,
            |answer| answer.truncate(9),
            |answer| answer.clear(),
            |answer| answer[3] = 0xff,
        ];
        for (number, wrong) in wrong.into_iter().enumerate() {
            let (shot, truth) = shot();
            let site = std::sync::Arc::new(Site(wrong, AtomicUsize::new(0)));
            let decoded = shot.run(&mut Workbench::with_elsewhere(Isa::best(), Some(site.clone())));
            assert_eq!(decoded.end, End::Found(truth), "answer {number}");
            assert_eq!(site.1.load(Ordering::Relaxed), 1, "asked once");
        }
    }

    #[test]
    fn what_is_no_question_is_refused() {
        let question = shot().0.write();
        let bench = &mut Workbench::new(Isa::best());
        for length in [0, 1, 5, 300, question.len() - 1] {
            assert!(answer(&question[..length], bench).is_err(), "{length} bytes");
        }
        let longer = [&question[..], &[0]].concat();
        assert!(answer(&longer, bench).is_err(), "bytes behind it");
    }
}
