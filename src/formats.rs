//! What keystill reads and writes: every format, where it is specified, and what may change.
//!
//! | what | made by | read by | specified in |
//! |---|---|---|---|
//! | messages between two nodes | [`session`](crate::session) | the same | [`wire`](crate::wire) and the heads of the stages |
//! | recordings of raw frames, `.rec` | `run --record` | `run --replay` | below |
//! | raw frames over a pipe or socket | hardware, [`pipeline::StreamWriter`](crate::pipeline::StreamWriter) | `node` with `[source.bb84]`, `[source.cv]` | below |
//! | raw frames of BB84 | a source | [`bb84`](crate::bb84) | [`bb84::frame`](crate::bb84::frame) |
//! | raw frames of CV-QKD | a source | [`cv`](crate::cv) | [`cv::frame`](crate::cv::frame) |
//! | a node's state: journal and vault | `node --state` | the same | the head of [`store`](crate::store) |
//! | packed bits, `.bits` | `distill`, `amplify` | the same | lowest bit first, eight a byte, the last byte filled with zeros |
//! | quadratures, `.csv` | spreadsheets, Python, MATLAB | `distill cv --columns` | [`columns`](crate::columns): x and p in two columns, a symbol a line, at most 2²⁸ |
//! | quadratures, `.npy` | NumPy | `distill cv` | NumPy's format 1 to 3: `f4` or `f8` of shape (n, 2) or (2n,), or complex |
//! | angles and click results | VeriQloud's Kiwi (Qline) | `node` with `from = { kiwi = … }`, `examples/kiwi` | [`bb84::recorded::kiwi`](crate::bb84::recorded::kiwi) and [`pipeline::Kiwi`](crate::pipeline::Kiwi) |
//! | scenarios and configurations, `.toml` | you | every command | their own comments, and below; unknown names are refused |
//! | a run: `run.json`, `blocks.ndjson`, `summary.json`, `events.ndjson` | `run --out` | `report` | below |
//! | figures for the hardware, `.ndjson` | `node` with `feedback` | the hardware's control | below |
//! | keys for key managers, `.cor` | `deliver::FileDrop` | other programs | raw bytes, keys of 32, one file a block |
//! | bits, `.npy` | NumPy | `distill bb84` | [`bb84::recorded`](crate::bb84::recorded::npy()): `u1`, `i1` or `b1` of shape (n,), at most 2³² |
//! | bits, `.csv` | spreadsheets, Python, MATLAB | `distill bb84 --column` | [`columns`](crate::columns): `0` or `1` in a column, one a line, at most 2³² |
//! | sifted key, type-3 files | S-Fifteen's qcrypto | `distill bb84`, a folder or file | [`bb84::recorded::type3`](crate::bb84::recorded::type3) |
//!
//! # A recording
//!
//! ```text
//! file    = "KEYSTIL1" · frame · … · index · index length:u64 · BLAKE3 of the index:32 bytes
//! index   = protocol · role:u8 · frame duration in ns · preamble · frames · (offset · length · BLAKE3:32 bytes) each
//! ```
//!
//! Numbers of the index are variable-length integers (see [`wire`](crate::wire)), texts and the preamble a
//! length and their bytes. A file that was cut has no valid end; a frame that changed does not match its hash.
//!
//! # A stream of raw frames
//!
//! ```text
//! stream  = "KEYSTIS1" · header length:u32 · header · frame · … · 0:u32
//! header  = protocol · role:u8 · frame duration in ns · preamble · index of the first frame
//! frame   = length:u32 · bytes · the first 8 bytes of their BLAKE3
//! ```
//!
//! As in a recording; `u32` are little-endian. The bytes of a frame are those of [`bb84::frame`](crate::bb84::frame)
//! and [`cv::frame`](crate::cv::frame). Frames follow each other without a gap. A length of zero is the end of all
//! raw frames. A stream that stops without it was cut, or lost frames: the node's protocol rests, opens it anew until it
//! is there, and goes on with the first whole block of the new one, whose first frame has a later index.
//!
//! # The records of a run
//!
//! JSON, one object a line in the `.ndjson` files. Names carry their unit (`_s`, `_bits`, `_snu`, `_db`); what does not
//! apply is left out. Readers ignore names that they do not know, because more will come.
//!
//! | file | an object is |
//! |---|---|
//! | `run.json` | the machine, the configuration, and under `expected` what the channel model expects, as `link --json` prints it; under `course` what it expects over the link's time, where that changes |
//! | `blocks.ndjson` | a block: when it ended on the link (`link_time_s`), what was estimated, `disclosed` bits and `epsilons` by name, `terms` of the key length, `secret_bits`, `stage_s` (seconds of computing by stage on the correcting side, summed over threads) |
//! | `summary.json` | the whole run, a member of `protocols` for each |
//! | `events.ndjson` | something that happened on the link, what the scenario has happen first: `link_time_s`, `name` and, where it does, how long it lasts, `duration_s`, or which `protocol` noticed it; `report` marks it |
//!
//! # A scenario
//!
//! TOML in the sections of `channel::Scenario`, of which `src/channel/scenarios` has examples. A pair has two fibres; all of
//! `[link]`, `[fibre]`, `[data]`, `[[signal]]`, `[amplifier]` and the three values of `[filters]` at its ends are the first one's.
//! The second carries the same light the other way, but for what is said of it below `second`, value by value:
//!
//! ```toml
//! [second.link]
//! length_km = 25.4
//! fibre = "G.654.E"           # or a file, as in [link]
//!
//! [second.data]
//! launch_power_dbm = 14.0     # and direction, slots, carriers of 800G, dark slots, powers, modem, as in [data]
//!
//! [cv]
//! rides = "second"            # the fibre of a channel; the first if nothing is said
//! ```
//!
//! Directions are seen from the quantum channels, which all run from Alice to Bob. `[second.fibre]` and
//! `[[second.signal]]` stand for the whole section and the whole list. What is left out follows the first fibre, also where
//! `--set` changes that.
//!
//! An event befalls both fibres, or the one that its `fibre` names (`fibre = "second"`).
//!
//! The attenuation in a fibre's file has to reach all light in the fibre: beyond its points nobody knows it.
//!
//! # Feedback for the hardware
//!
//! With `feedback = "FILE"` in its configuration, or `feedback = { unix = "PATH" }`, a node writes a JSON object a line
//! for each block that ended, with key or without: added to the file, into the named pipe, or to whoever is connected
//! to the socket. The node never waits for a reader: lines that find 64 others waiting are dropped, and a
//! reader of the socket that does not read is sent away.
//!
//! | field | is |
//! |---|---|
//! | `event`, `time_s`, `role`, `protocol`, `block` | `"feedback"`, seconds since 1970, and what the line is about |
//! | `lost` | lines dropped since the one before |
//! | `outcome`, `secret_bits`, `reason` | `"key"` with its bits, or `"aborted"` and why |
//! | `clicks`, `sifted_bits` | BB84: detections, and those of the key basis |
//! | `qber` | BB84: errors in the key basis, once they are corrected: at Bob |
//! | `test_qber` | BB84: errors in the test basis |
//! | `test_events_intensity_K_detector_D`, `test_qber_intensity_K_detector_D` | BB84: the same by intensity (as in `mean_photons`) and Bob's detector |
//! | `transmittance`, `excess_noise_snu`, `snr`, and `…_error` | CV-QKD: T, ξ at the channel's input, and standard errors |
//! | `transmittance_earlier`, `transmittance_later` | CV-QKD: the two halves of the block |
//! | `phase_offset_rad` | CV-QKD, at Alice: by how much Bob's quadratures of the disclosed sample are turned |
//! | `offset_x`, `offset_p` | CV-QKD: the means of Bob's quadratures of that sample, in square roots of shot-noise units |
//!
//! In the key basis nothing is told by detector: there the detector is the key bit.
//!
//! # What may change
//!
//! Every format of ours carries a version. A program refuses a version that it does not know, and says so; it reads
//! what the release before wrote. Changes stand in the changelog by the format's name. The names of commands, options,
//! exit codes and JSON fields are kept within a major version.
//!
//! The library follows Semantic Versioning. The oldest compiler that builds it stands in `Cargo.toml` (`rust-version`);
//! it is raised only with a minor version, and never above what was stable a year before. Features add, and never take
//! away. Before 1.0 a minor version may break what it must, and names it.
