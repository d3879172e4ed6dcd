//! Sessions: one end of a link of one protocol, polled and told.

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char};
use std::sync::Arc;

use keystill_engine::Isa;
use keystill_engine::auth::Pool;
use keystill_engine::bb84::{self, Bb84};
use keystill_engine::cv::{self, Cv};
use keystill_engine::protocol::Protocol;
use keystill_engine::random::OperatingSystem;
use keystill_engine::session::{
    Config, Error, Event, Finished, Input, LinkState, Outcome, Output, Record, Refused, Remembered, Session,
    Time, Work,
};
use keystill_engine::stage::{Role, Workbench};
use keystill_engine::store::{Folder, Forgetful, Keeper, Kept, Store};
use zeroize::Zeroizing;

use crate::border::{KeystillStatus, Outcome as Done, Status, bytes, guarded, null, out_of_range};
use crate::settings::{KeystillBb84Settings, KeystillCvSettings};
use crate::store::{KeystillStore, storage};

/// What a session asks for.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeystillOutputKind {
    /// Nothing until something comes, or until the time `until_ns`: then keystill_session_tick().
    #[default]
    Wait = 0,
    /// Send `data` to the peer, whole and in order.
    Transmit = 1,
    /// Run `work` with keystill_work_run() on any thread, then keystill_session_finish().
    Compute = 2,
    /// Call keystill_session_remember(): it makes this, and all asked for before, last. What depends on it
    /// is held back until then, so several may be polled first and share a sync.
    Remember = 3,
    /// Close the connection and make a new one: the peer is silent.
    Hangup = 4,
    /// Secret key of `block` that both ends hold: `bits` bits in `data`, packed. With a store it is there,
    /// too, cut into keys; take it from one of them only.
    Key = 5,
    /// `block` is over with `bits` bits of secret key; with 0 bits `data` says why, as text with a final zero.
    Block = 6,
    /// Something that an operator wants to know: text with a final zero in `data`.
    Event = 7,
}

/// What a session asks for, and with what.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct KeystillOutput {
    /// What.
    pub kind: KeystillOutputKind,
    /// Bytes of the session, until it is polled again or freed; null where there are none.
    pub data: *const u8,
    /// How many, a final zero of text not counted.
    pub length: usize,
    /// The block that it is about.
    pub block: u64,
    /// Bits of key.
    pub bits: u64,
    /// Until when to wait; UINT64_MAX where nothing waits for time.
    pub until_ns: u64,
    /// To be run, finished or freed; null but for COMPUTE.
    pub work: *mut KeystillWork,
}

impl Default for KeystillOutput {
    fn default() -> Self {
        Self {
            kind: KeystillOutputKind::Wait,
            data: std::ptr::null(),
            length: 0,
            block: 0,
            bits: 0,
            until_ns: u64::MAX,
            work: std::ptr::null_mut(),
        }
    }
}

/// A computation of a session. Opaque.
pub struct KeystillWork(State);

enum State {
    Waits(Work),
    Done(Finished),
    Gone,
}

enum Either {
    Bb84(Session<Bb84>),
    Cv(Session<Cv>),
}

/// One end of a link of one protocol. Opaque; by one thread at a time.
pub struct KeystillSession {
    role: Role,
    session: Either,
    keeper: Box<dyn Keeper>,
    asked: Vec<Record>,
    data: Zeroizing<Vec<u8>>,
    figures: Vec<(&'static str, f64)>,
}

thread_local! {
    static BENCH: RefCell<Workbench> = RefCell::new(Workbench::new(Isa::best()));
}

fn over(error: &Error) -> (Status, String) {
    (Status::Over, error.to_string())
}

impl KeystillSession {
    fn handle(&mut self, now_ns: u64, input: Input<'_>) -> Done {
        let now = Time(now_ns);
        let handled = match &mut self.session {
            Either::Bb84(session) => session.handle(now, input),
            Either::Cv(session) => session.handle(now, input),
        };
        handled.map_err(|error| over(&error))
    }

    fn poll(&mut self) -> KeystillOutput {
        let output = match &mut self.session {
            Either::Bb84(session) => session.poll(),
            Either::Cv(session) => session.poll(),
        };
        let kind = KeystillOutputKind::Wait;
        let told = KeystillOutput { kind, ..KeystillOutput::default() };
        match output {
            Output::Wait(until) => {
                KeystillOutput { until_ns: until.map_or(u64::MAX, |until| until.0), ..told }
            }
            Output::Transmit(message) => self.with_data(KeystillOutputKind::Transmit, message),
            Output::Compute(work) => KeystillOutput {
                kind: KeystillOutputKind::Compute,
                block: work.block(),
                work: Box::into_raw(Box::new(KeystillWork(State::Waits(work)))),
                ..told
            },
            Output::Persist(record) => {
                self.asked.push(record);
                KeystillOutput { kind: KeystillOutputKind::Remember, ..told }
            }
            Output::Hangup => KeystillOutput { kind: KeystillOutputKind::Hangup, ..told },
            Output::Key(key) => {
                let (block, bits) = (key.block(), key.bits().len() as u64);
                let told = self.with_data(KeystillOutputKind::Key, key.bits().to_bytes());
                KeystillOutput { block, bits, ..told }
            }
            Output::Event(event) => self.of_event(&event),
        }
    }

    fn with_data(&mut self, kind: KeystillOutputKind, data: Vec<u8>) -> KeystillOutput {
        let length = data.len();
        self.data = Zeroizing::new(data);
        KeystillOutput { kind, data: self.data.as_ptr(), length, ..KeystillOutput::default() }
    }

    fn with_text(&mut self, kind: KeystillOutputKind, words: String) -> KeystillOutput {
        // Our own words hold no zero.
        let text = CString::new(words).unwrap_or_default();
        let length = text.as_bytes().len();
        KeystillOutput { length, ..self.with_data(kind, text.into_bytes_with_nul()) }
    }

    fn of_event(&mut self, event: &Event) -> KeystillOutput {
        let words = match event {
            Event::Block(report) => {
                self.figures.clone_from(&report.figures);
                let (bits, words) = match &report.outcome {
                    Outcome::Key { secret_bits, .. } => (*secret_bits, String::new()),
                    Outcome::Aborted(abort) => (0, abort.to_string()),
                };
                let told = self.with_text(KeystillOutputKind::Block, words);
                return KeystillOutput { block: report.block, bits, ..told };
            }
            Event::PeerReady { block } => format!("the peer is there, both go on from block {block}"),
            Event::PeerLost => "the peer is gone; blocks that were open are lost".into(),
            Event::Settled { block, committed: true } => format!("block {block}, in doubt, counts"),
            Event::Settled { block, .. } => format!("block {block}, in doubt, comes to nothing"),
            other => format!("{other:?}"),
        };
        self.with_text(KeystillOutputKind::Event, words)
    }

    fn remember(&mut self, now_ns: u64) -> Done {
        let Some(last) = self.asked.last().map(|record| record.ticket) else { return Ok(()) };
        for record in &self.asked {
            self.keeper.write(&record.entry).map_err(|error| storage(&error))?;
        }
        self.keeper.sync().map_err(|error| storage(&error))?;
        self.asked.clear();
        self.handle(now_ns, Input::Persisted(last))
    }
}

/// What both kinds of sessions are begun with.
struct Beginning<'a> {
    role: u32,
    number: u64,
    pre_shared: &'a [u8],
    store: Option<&'a KeystillStore>,
}

fn begin<P: Protocol>(
    protocol: Arc<P>,
    beginning: &Beginning<'_>,
    either: impl FnOnce(Session<P>) -> Either,
) -> Result<KeystillSession, (Status, String)> {
    let role = match beginning.role {
        0 => Role::Alice,
        1 => Role::Bob,
        _ => return Err(out_of_range("`role` is KEYSTILL_ROLE_ALICE or KEYSTILL_ROLE_BOB")),
    };
    let number = u128::from(beginning.number);
    let (remembered, keeper): (_, Box<dyn Keeper>) = match beginning.store {
        None => {
            let pool = Pool::from_pre_shared(beginning.pre_shared).map_err(out_of_range)?;
            (Remembered::new(pool), Box::new(Forgetful))
        }
        Some(store) => {
            let remembered = recall(&mut store.lock(), P::NAME, number, beginning.pre_shared)?;
            (remembered, Box::new(Kept::new(store.store.clone(), P::NAME, number)))
        }
    };
    let config = Config::new(role, number, protocol, Arc::new(OperatingSystem));
    Ok(KeystillSession {
        role,
        session: either(Session::resume(config, remembered)),
        keeper,
        asked: Vec::new(),
        data: Zeroizing::default(),
        figures: Vec::new(),
    })
}

/// What a session goes on from; its pre-shared key is installed the first time.
fn recall(
    store: &mut Store<Folder>,
    protocol: &str,
    number: u128,
    pre_shared: &[u8],
) -> Result<Remembered, (Status, String)> {
    if !store.has(protocol) {
        Pool::from_pre_shared(pre_shared).map_err(out_of_range)?;
        store.install(protocol, number, pre_shared).map_err(|error| storage(&error))?;
    }
    store.recall(protocol, number).map_err(|error| storage(&error))
}

/// Writes a new session where the caller wants it.
///
/// # Safety
/// `pre_shared` points to `length` bytes, or `length` is 0; `store` is null or a store; `session` is null or
/// points to room for a pointer.
unsafe fn made(
    (role, number): (u32, u64),
    (pre_shared, length): (*const u8, usize),
    store: *const KeystillStore,
    session: *mut *mut KeystillSession,
    make: impl FnOnce(&Beginning<'_>) -> Result<KeystillSession, (Status, String)>,
) -> Done {
    if session.is_null() {
        return Err(null("session"));
    }
    // SAFETY: the caller vouches for the key.
    let pre_shared = if length == 0 { &[][..] } else { unsafe { bytes(pre_shared, length, "pre_shared") }? };
    // SAFETY: the caller vouches for the store.
    let store = unsafe { store.as_ref() };
    let made = make(&Beginning { role, number, pre_shared, store })?;
    // SAFETY: not null, and the caller vouches for the room.
    unsafe { session.write(Box::into_raw(Box::new(made))) };
    Ok(())
}

/// Begins one end of a BB84 link and stores it in `*session`. Free it with keystill_session_free().
///
/// `role` is a KeystillRole. `number` is the session's: the same at both ends, never used before with the
/// same pre-shared key. `pre_shared` is what both ends were given: 32 bytes for two hash keys, then 64 a
/// block until its own key refills them. With a `store` the session remembers there, and goes on from what
/// it remembered: the pre-shared key is installed the first time, and may be null later. Without one it
/// ends with its process.
///
/// # Safety
/// `settings` points to settings, `pre_shared` to `pre_shared_length` bytes; `store` is null or came from
/// keystill_store_open(); `session` points to room for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keystill_bb84_session_new(
    settings: *const KeystillBb84Settings,
    role: u32,
    number: u64,
    pre_shared: *const u8,
    pre_shared_length: usize,
    store: *const KeystillStore,
    session: *mut *mut KeystillSession,
) -> KeystillStatus {
    guarded(|| {
        // SAFETY: the caller vouches for the settings.
        let settings = unsafe { settings.as_ref() }.ok_or_else(|| null("settings"))?;
        let protocol = settings.protocol()?;
        let make = |beginning: &Beginning<'_>| begin(protocol, beginning, Either::Bb84);
        // SAFETY: the caller vouches for the rest.
        unsafe { made((role, number), (pre_shared, pre_shared_length), store, session, make) }
    })
}

/// Begins one end of a CV-QKD link, as keystill_bb84_session_new() does of a BB84 link.
///
/// # Safety
/// As there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keystill_cv_session_new(
    settings: *const KeystillCvSettings,
    role: u32,
    number: u64,
    pre_shared: *const u8,
    pre_shared_length: usize,
    store: *const KeystillStore,
    session: *mut *mut KeystillSession,
) -> KeystillStatus {
    guarded(|| {
        // SAFETY: the caller vouches for the settings.
        let settings = unsafe { settings.as_ref() }.ok_or_else(|| null("settings"))?;
        let protocol = settings.protocol()?;
        let make = |beginning: &Beginning<'_>| begin(protocol, beginning, Either::Cv);
        // SAFETY: the caller vouches for the rest.
        unsafe { made((role, number), (pre_shared, pre_shared_length), store, session, make) }
    })
}

/// Runs a body on a session.
///
/// # Safety
/// `session` is null or a session that nobody else uses now.
unsafe fn on(
    session: *mut KeystillSession,
    body: impl FnOnce(&mut KeystillSession) -> Done,
) -> KeystillStatus {
    guarded(|| {
        // SAFETY: the caller vouches for the handle.
        body(unsafe { session.as_mut() }.ok_or_else(|| null("session"))?)
    })
}

/// Tells that a new connection to the peer is there (`up` is not 0), or that there is none. Times are
/// nanoseconds since any moment, and never go back.
///
/// # Safety
/// `session` came from keystill_*_session_new() and was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keystill_session_link(
    session: *mut KeystillSession,
    now_ns: u64,
    up: i32,
) -> KeystillStatus {
    let state = if up == 0 { LinkState::Down } else { LinkState::Up };
    // SAFETY: the caller vouches for the handle.
    unsafe { on(session, |session| session.handle(now_ns, Input::Link(state))) }
}

/// Tells that time has passed.
///
/// # Safety
/// As keystill_session_link().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keystill_session_tick(session: *mut KeystillSession, now_ns: u64) -> KeystillStatus {
    // SAFETY: the caller vouches for the handle.
    unsafe { on(session, |session| session.handle(now_ns, Input::Tick)) }
}

/// Hands over a whole message of the peer, in order.
///
/// # Safety
/// As keystill_session_link(); `message` points to `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keystill_session_receive(
    session: *mut KeystillSession,
    now_ns: u64,
    message: *const u8,
    length: usize,
) -> KeystillStatus {
    let body = |session: &mut KeystillSession| {
        // SAFETY: the caller vouches for the message.
        let message = unsafe { bytes(message, length, "message") }?;
        session.handle(now_ns, Input::Received(message))
    };
    // SAFETY: the caller vouches for the handle.
    unsafe { on(session, body) }
}

/// Stores in `*output` what the session asks for next. Poll after every call until it waits.
///
/// # Safety
/// As keystill_session_link(); `output` points to room for an output.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keystill_session_poll(
    session: *mut KeystillSession,
    output: *mut KeystillOutput,
) -> KeystillStatus {
    let body = |session: &mut KeystillSession| {
        if output.is_null() {
            return Err(null("output"));
        }
        // SAFETY: not null, and the caller vouches for the room.
        unsafe { output.write(session.poll()) };
        Ok(())
    };
    // SAFETY: the caller vouches for the handle.
    unsafe { on(session, body) }
}

/// Makes all that was asked to be remembered last, with one sync, and tells the session so. After
/// KEYSTILL_STATUS_STORAGE the session cannot go on: free it, and begin again from the store.
///
/// # Safety
/// As keystill_session_link().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keystill_session_remember(
    session: *mut KeystillSession,
    now_ns: u64,
) -> KeystillStatus {
    // SAFETY: the caller vouches for the handle.
    unsafe { on(session, |session| session.remember(now_ns)) }
}

/// Computes, on the calling thread: any, also while others use the session. Takes 0.1 ms or more.
///
/// # Safety
/// `work` came from keystill_session_poll() and was neither finished nor freed; one thread runs it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keystill_work_run(work: *mut KeystillWork) -> KeystillStatus {
    guarded(|| {
        // SAFETY: the caller vouches for the handle.
        let work = unsafe { work.as_mut() }.ok_or_else(|| null("work"))?;
        work.run();
        Ok(())
    })
}

impl KeystillWork {
    fn run(&mut self) {
        self.0 = match std::mem::replace(&mut self.0, State::Gone) {
            State::Waits(work) => State::Done(BENCH.with(|bench| work.run(&mut bench.borrow_mut()))),
            other => other,
        };
    }
}

/// Gives a computation back to the session that asked for it, and frees it. It is run here if it was not.
///
/// # Safety
/// As keystill_session_link(); `work` came from this very session and is not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keystill_session_finish(
    session: *mut KeystillSession,
    now_ns: u64,
    work: *mut KeystillWork,
) -> KeystillStatus {
    let body = |session: &mut KeystillSession| {
        if work.is_null() {
            return Err(null("work"));
        }
        // SAFETY: made by `Box::into_raw` in `poll`; the caller gives it back once.
        let mut work = unsafe { Box::from_raw(work) };
        work.run();
        match work.0 {
            State::Done(finished) => session.handle(now_ns, Input::Finished(finished)),
            _ => Err((Status::Internal, "a computation panicked before: the session cannot go on".into())),
        }
    };
    // SAFETY: the caller vouches for the handle.
    unsafe { on(session, body) }
}

/// Frees a computation whose session is gone. Null is fine.
///
/// # Safety
/// `work` is null, or came from keystill_session_poll() and is not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keystill_work_free(work: *mut KeystillWork) {
    if work.is_null() {
        return;
    }
    // Dropping cannot fail; a panic must not cross all the same.
    let _ = guarded(|| {
        // SAFETY: made by `Box::into_raw` in `poll`; the caller gives it back once.
        drop(unsafe { Box::from_raw(work) });
        Ok(())
    });
}

/// The index of the raw frame that the session expects next: it begins above 0 after a restart, and goes
/// on after blocks that were lost. A frame's first gate or symbol is its index times the gates or symbols
/// of a frame. 0 for null.
///
/// # Safety
/// `session` is null, or came from keystill_*_session_new() and was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keystill_session_next_frame(session: *const KeystillSession) -> u64 {
    // SAFETY: the caller vouches for the handle.
    let session = unsafe { session.as_ref() };
    session.map_or(0, |session| match &session.session {
        Either::Bb84(session) => session.next_frame(),
        Either::Cv(session) => session.next_frame(),
    })
}

fn offered<F>(offered: Result<(), Refused<F>>) -> Done {
    offered.map_err(|refused| match refused {
        Refused::Full(_) => (Status::Full, "no room for a raw frame now: poll, then offer it again".into()),
        Refused::Closed(error) => over(&error),
    })
}

fn offer_bb84(session: &mut KeystillSession, frame: bb84::Frame) -> Done {
    let own = matches!(
        (&frame, session.role),
        (bb84::Frame::Alice(_), Role::Alice) | (bb84::Frame::Bob(_), Role::Bob)
    );
    if !own {
        return Err(out_of_range(format!("this is {:?}'s end: the frame is the other's", session.role)));
    }
    match &mut session.session {
        Either::Bb84(session) => offered(session.offer(frame)),
        Either::Cv(_) => Err(out_of_range("this is a session of CV-QKD: keystill_session_offer_cv()")),
    }
}

/// Offers Alice's settings of the next frame: four bits a gate, two gates a byte, low nibble first: bit 0
/// the bit, bit 1 set for the test basis, bits 2 and 3 the intensity. KEYSTILL_STATUS_FULL: offer it again.
///
/// # Safety
/// As keystill_session_link(); `settings` points to `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keystill_session_offer_bb84_alice(
    session: *mut KeystillSession,
    first_gate: u64,
    gates: u32,
    settings: *const u8,
    length: usize,
) -> KeystillStatus {
    let body = |session: &mut KeystillSession| {
        if length != (gates as usize).div_ceil(2) {
            let due = (gates as usize).div_ceil(2);
            return Err(out_of_range(format!("`settings` has {length} bytes; {gates} gates take {due}")));
        }
        // SAFETY: the caller vouches for the settings.
        let settings = unsafe { bytes(settings, length, "settings") }?;
        let settings = bb84::frame::Settings::Packed(settings.to_vec());
        let frame = bb84::frame::AliceFrame { first_gate, gates, settings };
        offer_bb84(session, bb84::Frame::Alice(frame))
    };
    // SAFETY: the caller vouches for the handle.
    unsafe { on(session, body) }
}

/// Offers Bob's clicks of the next frame: their gates as offsets from the first, strictly increasing, and a
/// byte each: bit 0 set for the test basis, bit 1 for the detector of bit 0, bit 2 for that of bit 1.
/// KEYSTILL_STATUS_FULL: offer it again.
///
/// # Safety
/// As keystill_session_link(); `offsets` and `clicks` point to `count` each, or `count` is 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keystill_session_offer_bb84_bob(
    session: *mut KeystillSession,
    first_gate: u64,
    gates: u32,
    offsets: *const u32,
    clicks: *const u8,
    count: usize,
) -> KeystillStatus {
    let body = |session: &mut KeystillSession| {
        // SAFETY: the caller vouches for the offsets.
        let offsets = unsafe { array(offsets, count, "offsets") }?;
        // SAFETY: the caller vouches for the clicks.
        let clicks = unsafe { array(clicks, count, "clicks") }?;
        if offsets.windows(2).any(|two| two[0] >= two[1]) || offsets.last().is_some_and(|last| *last >= gates)
        {
            return Err(out_of_range("`offsets` increase strictly and lie below `gates`"));
        }
        if clicks.iter().any(|click| click & !7 != 0 || click & 6 == 0) {
            return Err(out_of_range("a byte of `clicks` names no detector, or has bits above the third"));
        }
        let (offsets, clicks) = (offsets.to_vec(), clicks.to_vec());
        offer_bb84(session, bb84::Frame::Bob(bb84::frame::BobFrame { first_gate, gates, offsets, clicks }))
    };
    // SAFETY: the caller vouches for the handle.
    unsafe { on(session, body) }
}

/// Offers quadratures of the next frame, x and p of each symbol in turn: what Alice modulated, in square
/// roots of shot-noise units, or what Bob measured, in his receiver's units. KEYSTILL_STATUS_FULL: offer it
/// again.
///
/// # Safety
/// As keystill_session_link(); `quadratures` points to twice `symbols` numbers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keystill_session_offer_cv(
    session: *mut KeystillSession,
    first_symbol: u64,
    quadratures: *const f32,
    symbols: usize,
) -> KeystillStatus {
    let body = |session: &mut KeystillSession| {
        let count = symbols.checked_mul(2).ok_or_else(|| out_of_range("`symbols` is too large"))?;
        // SAFETY: the caller vouches for the quadratures.
        let quadratures = unsafe { array(quadratures, count, "quadratures") }?;
        if quadratures.iter().any(|value| !value.is_finite()) {
            return Err(out_of_range("a quadrature is not a finite number"));
        }
        let quadratures = quadratures.to_vec();
        let Either::Cv(cv) = &mut session.session else {
            return Err(out_of_range("this is a session of BB84: keystill_session_offer_bb84_*()"));
        };
        offered(cv.offer(match session.role {
            Role::Alice => cv::Frame::Alice(cv::frame::AliceFrame { first_symbol, quadratures }),
            Role::Bob => cv::Frame::Bob(cv::frame::BobFrame { first_symbol, quadratures }),
        }))
    };
    // SAFETY: the caller vouches for the handle.
    unsafe { on(session, body) }
}

/// The caller's numbers.
///
/// # Safety
/// `pointer` is null or points to `count` numbers that nobody writes while the slice lives.
unsafe fn array<'a, T>(pointer: *const T, count: usize, name: &str) -> Result<&'a [T], (Status, String)> {
    if count == 0 {
        return Ok(&[]);
    }
    if pointer.is_null() {
        return Err(null(name));
    }
    if !pointer.is_aligned() || count > isize::MAX as usize / size_of::<T>() {
        return Err(out_of_range(format!("`{name}` has no such length, or is not aligned")));
    }
    // SAFETY: not null, aligned, short enough, and the caller vouches for the rest.
    Ok(unsafe { std::slice::from_raw_parts(pointer, count) })
}

/// A figure of the last block that was over, such as "qber", "transmittance", "excess_noise_snu" or "snr".
/// KEYSTILL_STATUS_OUT_OF_RANGE if it has none of that name.
///
/// # Safety
/// As keystill_session_link(); `name` ends with a zero, `value` points to room for a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keystill_session_figure(
    session: *mut KeystillSession,
    name: *const c_char,
    value: *mut f64,
) -> KeystillStatus {
    let body = |session: &mut KeystillSession| {
        if name.is_null() {
            return Err(null("name"));
        }
        // SAFETY: not null, and the caller vouches for the zero.
        let name = unsafe { CStr::from_ptr(name) }.to_string_lossy();
        // SAFETY: the caller vouches for the room.
        let room = unsafe { value.as_mut() }.ok_or_else(|| null("value"))?;
        let found = session.figures.iter().find(|(own, _)| *own == name);
        let known = || session.figures.iter().map(|(own, _)| *own).collect::<Vec<_>>().join(", ");
        let (_, found) =
            found.ok_or_else(|| out_of_range(format!("no figure `{name}`; there are: {}", known())))?;
        *room = *found;
        Ok(())
    };
    // SAFETY: the caller vouches for the handle.
    unsafe { on(session, body) }
}

/// Frees a session, and wipes what it held. Null is fine.
///
/// # Safety
/// `session` is null, or came from keystill_*_session_new() and is not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keystill_session_free(session: *mut KeystillSession) {
    if session.is_null() {
        return;
    }
    // Dropping cannot fail; a panic must not cross all the same.
    let _ = guarded(|| {
        // SAFETY: made by `Box::into_raw` above; the caller gives it back once.
        drop(unsafe { Box::from_raw(session) });
        Ok(())
    });
}
