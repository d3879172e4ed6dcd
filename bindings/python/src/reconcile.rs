//! Reconciliation and verification of both sides' bits in one process.

use std::sync::Arc;

use keystill_engine::Isa;
use keystill_engine::bits::{BitBlock, Llrs};
use keystill_engine::ledger::Ledger;
use keystill_engine::random::OperatingSystem;
use keystill_engine::reconcile::{Method, Plan, Task};
use keystill_engine::stage::loopback::Loopback;
use keystill_engine::stage::{Fault, Workbench, converse};
use keystill_engine::verify::{self, Candidate};
use numpy::{PyArray1, PyReadonlyArray1};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::amplify::toeplitz;
use crate::{NoKey, value_error};

/// Both sides after verification, and what it took.
#[derive(Default)]
struct Corrected {
    alice: BitBlock,
    bob: BitBlock,
    ledger: Ledger,
    frames: usize,
    frames_failed: usize,
    errors: u64,
}

fn bits(array: &PyReadonlyArray1<'_, u8>, name: &str) -> PyResult<BitBlock> {
    let slice = array.as_slice()?;
    if slice.iter().any(|bit| *bit > 1) {
        return Err(value_error(format!(
            "{name} holds other values than 0 and 1: unpack it with numpy.unpackbits"
        )));
    }
    Ok(BitBlock::from_bools(&slice.iter().map(|bit| *bit == 1).collect::<Vec<_>>()))
}

fn array<'py>(py: Python<'py>, bits: &BitBlock) -> Bound<'py, PyArray1<u8>> {
    PyArray1::from_vec(py, (0..bits.len()).map(|i| u8::from(bits.bit(i))).collect())
}

fn plan(method: &str, qber: f64, available: usize) -> PyResult<Plan> {
    let method = match method {
        "ldpc" => Method::Ldpc,
        "cascade" => Method::Cascade,
        other => return Err(value_error(format!("method {other:?}: \"ldpc\" or \"cascade\""))),
    };
    Plan::choose_hard(method, qber, available).map_err(value_error)
}

fn corrected(plan: &Plan, alice: &BitBlock, bob: &BitBlock) -> Result<Corrected, Fault> {
    let mut bench = Workbench::new(Isa::best());
    let mut sum = Corrected::default();
    let (mut kept, mut own) = (Vec::new(), Vec::new());
    for (number, first) in (0u32..).zip((0..alice.len()).step_by(plan.frame_bits())) {
        let range = first..alice.len().min(first + plan.frame_bits());
        let llrs = Llrs::Hard { bits: bob.slice(range.clone()), error_probability: 0.0 };
        let mut reference = Task::reference(plan, alice.slice(range))?.converse();
        let mut corrector = Task::corrector(plan, llrs)?.converse();
        let mut talk = Loopback::new();
        let ended = talk.hold(&mut bench, &mut *reference, &mut *corrector);
        sum.ledger.absorb(&talk.first.ledger);
        let (reference, corrector) = ended?;
        sum.frames += 1;
        match (reference.bits, corrector.bits) {
            (Some(reference), Some(bits)) => {
                sum.errors += corrector.effort.corrected_errors;
                kept.push((number, reference));
                own.push((number, bits));
            }
            _ => sum.frames_failed += 1,
        }
    }
    let candidate = |frames| Candidate { block: 0, frames };
    let mut reference = converse(verify::Reference::new(candidate(kept), Arc::new(OperatingSystem)));
    let mut corrector = converse(verify::Corrector::new(candidate(own)));
    let mut talk = Loopback::new();
    let ended = talk.hold(&mut bench, &mut *reference, &mut *corrector);
    sum.ledger.absorb(&talk.first.ledger);
    let (alice, bob) = ended?;
    sum.frames_failed = sum.frames - alice.frames().len();
    sum.alice.append(alice.bits());
    sum.bob.append(bob.bits());
    Ok(sum)
}

fn run(py: Python<'_>, method: &str, qber: f64, (alice, bob): (&BitBlock, &BitBlock)) -> PyResult<Corrected> {
    if alice.len() != bob.len() || alice.is_empty() {
        return Err(value_error(format!(
            "{} bits of Alice and {} of Bob do not belong together",
            alice.len(),
            bob.len()
        )));
    }
    let plan = plan(method, qber, alice.len())?;
    py.detach(|| corrected(&plan, alice, bob)).map_err(|fault| NoKey::new_err(fault.to_string()))
}

fn told<'py>(py: Python<'py>, sum: &Corrected) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("frames", sum.frames)?;
    dict.set_item("frames_failed", sum.frames_failed)?;
    dict.set_item("errors", sum.errors)?;
    dict.set_item("qber", sum.errors as f64 / (sum.bob.len().max(1)) as f64)?;
    dict.set_item("disclosed_bits", sum.ledger.disclosed_bits())?;
    dict.set_item("epsilon_correctness", sum.ledger.epsilon())?;
    Ok(dict)
}

/// Corrects Bob's bits to Alice's and verifies them; arrays of 0 and 1.
///
/// qber: the error rate expected; a wrong one costs efficiency. Returns (bits, report): what both hold
/// now, frames that failed left out, and what it took. Raises NoKey if nothing could be verified.
#[pyfunction]
#[pyo3(signature = (alice, bob, *, qber, method = "ldpc"))]
pub(crate) fn reconcile<'py>(
    py: Python<'py>,
    alice: PyReadonlyArray1<'py, u8>,
    bob: PyReadonlyArray1<'py, u8>,
    qber: f64,
    method: &str,
) -> PyResult<(Bound<'py, PyArray1<u8>>, Bound<'py, PyDict>)> {
    let (alice, bob) = (bits(&alice, "alice")?, bits(&bob, "bob")?);
    let sum = run(py, method, qber, (&alice, &bob))?;
    Ok((array(py, &sum.bob), told(py, &sum)?))
}

/// Both keys, packed, and the report.
type Distilled<'py> = (Bound<'py, PyArray1<u8>>, Bound<'py, PyArray1<u8>>, Bound<'py, PyDict>);

/// From both sides' sifted bits to a key: corrected, verified, hashed.
///
/// key_bits: how long the key may be, which a key length says from the counts and what this very call
/// will disclose; or a function that takes the report of reconcile() and returns it. Returns (key of
/// Alice, key of Bob, report), keys packed. The seed comes from the operating system.
#[pyfunction]
#[pyo3(signature = (alice, bob, key_bits, *, qber, method = "ldpc"))]
pub(crate) fn distill<'py>(
    py: Python<'py>,
    alice: PyReadonlyArray1<'py, u8>,
    bob: PyReadonlyArray1<'py, u8>,
    key_bits: Bound<'py, PyAny>,
    qber: f64,
    method: &str,
) -> PyResult<Distilled<'py>> {
    use keystill_engine::random::{Draw, Purpose, RandomSource};
    let (alice, bob) = (bits(&alice, "alice")?, bits(&bob, "bob")?);
    let sum = run(py, method, qber, (&alice, &bob))?;
    let report = told(py, &sum)?;
    let length = if key_bits.is_callable() { key_bits.call1((&report,))? } else { key_bits };
    let hash = toeplitz("modified", sum.alice.len(), length.extract()?)?;
    let mut seed = vec![0; hash.seed_bits().div_ceil(8)];
    let draw = Draw { block: 0, purpose: Purpose::AmplificationSeed, index: 0 };
    OperatingSystem.draw(draw, &mut seed).map_err(value_error)?;
    let seed = BitBlock::from_bytes(&seed, hash.seed_bits());
    let keys = py.detach(|| {
        let prepared = hash.prepare(Isa::best(), &seed)?;
        Ok::<_, keystill_engine::amplify::Error>((
            prepared.hash(Isa::best(), &sum.alice)?,
            prepared.hash(Isa::best(), &sum.bob)?,
        ))
    });
    let (ours, theirs) = keys.map_err(value_error)?;
    let packed = |bits: &BitBlock| PyArray1::from_slice(py, &zeroize::Zeroizing::new(bits.to_bytes()));
    Ok((packed(&ours), packed(&theirs), report))
}
