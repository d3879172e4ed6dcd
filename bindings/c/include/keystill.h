#ifndef KEYSTILL_H
#define KEYSTILL_H

/* Made from bindings/c/src by cbindgen; do not edit. See bindings/README.md. */

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

// How a call ended.
typedef enum {
  // It did what it says.
  KEYSTILL_STATUS_OK = 0,
  // A pointer is null that may not be.
  KEYSTILL_STATUS_NULL_POINTER = 1,
  // A length or value is out of its range.
  KEYSTILL_STATUS_OUT_OF_RANGE = 2,
  // The data leave no secure key. Nothing is wrong with the call.
  KEYSTILL_STATUS_NO_KEY = 3,
  // A bug of keystill.
  KEYSTILL_STATUS_INTERNAL = 4,
  // The session has no room for a raw frame now: poll it until it waits, then offer the frame again.
  KEYSTILL_STATUS_FULL = 5,
  // The session is over: the peer or the configuration is wrong, and every call says the same.
  KEYSTILL_STATUS_OVER = 6,
  // A disk failed: what is on it is found out by opening the store again.
  KEYSTILL_STATUS_STORAGE = 7,
} KeystillStatus;

// What a session asks for.
typedef enum {
  // Nothing until something comes, or until the time `until_ns`: then keystill_session_tick().
  KEYSTILL_OUTPUT_KIND_WAIT = 0,
  // Send `data` to the peer, whole and in order.
  KEYSTILL_OUTPUT_KIND_TRANSMIT = 1,
  // Run `work` with keystill_work_run() on any thread, then keystill_session_finish().
  KEYSTILL_OUTPUT_KIND_COMPUTE = 2,
  // Call keystill_session_remember(): it makes this, and all asked for before, last. What depends on it
  // is held back until then, so several may be polled first and share a sync.
  KEYSTILL_OUTPUT_KIND_REMEMBER = 3,
  // Close the connection and make a new one: the peer is silent.
  KEYSTILL_OUTPUT_KIND_HANGUP = 4,
  // Secret key of `block` that both ends hold: `bits` bits in `data`, packed. With a store it is there,
  // too, cut into keys; take it from one of them only.
  KEYSTILL_OUTPUT_KIND_KEY = 5,
  // `block` is over with `bits` bits of secret key; with 0 bits `data` says why, as text with a final zero.
  KEYSTILL_OUTPUT_KIND_BLOCK = 6,
  // Something that an operator wants to know: text with a final zero in `data`.
  KEYSTILL_OUTPUT_KIND_EVENT = 7,
} KeystillOutputKind;

// Which universal family.
typedef enum {
  // A full Toeplitz matrix: a seed of input + output - 1 bits.
  KEYSTILL_MATRIX_PLAIN = 0,
  // A Toeplitz matrix beside the identity: a seed of input - 1 bits, and less work.
  KEYSTILL_MATRIX_MODIFIED = 1,
} KeystillMatrix;

// Which end of the link.
typedef enum {
  // She prepares.
  KEYSTILL_ROLE_ALICE = 0,
  // He measures.
  KEYSTILL_ROLE_BOB = 1,
} KeystillRole;

// Which keys are handed out at this end. Two ends that both hand out keys by themselves take one the
// even and the other the odd ones, so that no key is handed out at both.
typedef enum {
  // Every key: the other end delivers by ID only.
  KEYSTILL_SHARE_ALL = 0,
  // Keys at even places of their block.
  KEYSTILL_SHARE_EVEN = 1,
  // Keys at odd places.
  KEYSTILL_SHARE_ODD = 2,
} KeystillShare;

// A hash with its seed, ready for several inputs. Opaque.
typedef struct KeystillAmplifier KeystillAmplifier;

// One end of a link of one protocol. Opaque; by one thread at a time.
typedef struct KeystillSession KeystillSession;

// A folder that remembers what sessions must not forget, and delivers each key once. Opaque.
typedef struct KeystillStore KeystillStore;

// A computation of a session. Opaque.
typedef struct KeystillWork KeystillWork;

// One block of decoy-state BB84 after sifting; arrays by intensity, brightest first.
typedef struct {
  // Bits in the key basis.
  uint64_t key[3];
  // Bits in the test basis.
  uint64_t test[3];
  // Errors among those.
  uint64_t test_errors[3];
  // Mean photon numbers.
  double mean_photons[3];
  // Probabilities of the intensities.
  double probabilities[3];
  // The least probabilities with which Alice and Bob choose the test basis, each by itself. Both 0
  // where they are not known: the bound is then looser.
  double test_basis[2];
  // All bits disclosed, verification included.
  uint64_t disclosed_bits;
  // Failure probability of the block.
  double epsilon;
} KeystillBb84Block;

// A key length.
typedef struct {
  // Bits of secret key; 0 if there is none.
  uint64_t bits;
  // The length before it was rounded down; negative where there is no key.
  double real_bits;
  // BB84: upper bound of the phase error rate. CV: upper bound of the excess noise at the
  // channel's input, in shot-noise units.
  double worst_noise;
} KeystillKeyLength;

// One block of Gaussian-modulated heterodyne CV-QKD, its receiver trusted.
typedef struct {
  // Pairs of real quadratures that the sums run over, two a symbol.
  uint64_t pairs;
  // Sum of the squares of Alice's modulation, in shot-noise units.
  double alice;
  // Sum of the products.
  double cross;
  // Sum of the squares of Bob's outcomes, in shot-noise units.
  double bob;
  // The receiver's efficiency: between these.
  double efficiency[2];
  // Its electronic noise a quadrature, in shot-noise units: between these.
  double electronic_noise[2];
  // Samples from which the shot-noise unit was measured.
  uint64_t calibration_samples;
  // Symbols whose frames were corrected and verified.
  uint64_t kept_symbols;
  // All bits disclosed, verification included.
  uint64_t disclosed_bits;
  // Failure probability of the block.
  double epsilon;
} KeystillCvBlock;

// Decoy-state BB84; arrays by intensity, brightest first. Begin with keystill_bb84_defaults().
typedef struct {
  // Gates in a raw frame.
  uint32_t gates_per_frame;
  // Raw frames in a block.
  uint64_t frames_per_block;
  // Mean photon numbers.
  double mean_photons[3];
  // Probabilities of the intensities.
  double probabilities[3];
  // By how much each mean photon number may be off, either way.
  double mean_photon_spread[3];
  // By how much each probability may be off, either way.
  double probability_spread[3];
  // The least probabilities with which Alice and Bob choose the test basis, each by itself. Both 0
  // where they are not known: the bound is then looser.
  double test_basis[2];
  // The probability that a calibrated number lies outside of its interval.
  double calibration_epsilon;
  // Blocks for which the calibration holds, from the session's first; with 0 there is no key.
  uint64_t calibration_blocks;
  // Gates after a click in which further clicks are dropped.
  uint32_t dead_gates;
  // Clicks in a frame above which the detectors are taken to be out of order.
  size_t most_clicks_per_frame;
  // Failure probability of a block's key, at most.
  double epsilon;
} KeystillBb84Settings;

// Gaussian-modulated CV-QKD with heterodyne detection and a trusted receiver. Begin with
// keystill_cv_defaults().
typedef struct {
  // Symbols in a raw frame.
  uint32_t symbols_per_frame;
  // Raw frames in a block.
  uint64_t frames_per_block;
  // The block's first symbols, disclosed for the choice of rate.
  size_t sample_symbols;
  // The receiver's efficiency: between these.
  double efficiency[2];
  // Its electronic noise a quadrature, in shot-noise units: between these.
  double electronic_noise[2];
  // The probability that a calibrated number lies outside of its interval.
  double calibration_epsilon;
  // Blocks for which the calibration holds, from the session's first; with 0 there is no key.
  uint64_t calibration_blocks;
  // Failure probability of a block's key, at most.
  double epsilon;
  // Bob's dark samples with the local oscillator on; 0 at Alice, who hears the calibration from him.
  uint64_t vacuum_samples;
  // Their mean square, in the square of the receiver's own units.
  double vacuum_mean_square;
  // Samples with the local oscillator off.
  uint64_t electronic_samples;
  // Their mean square.
  double electronic_mean_square;
} KeystillCvSettings;

// What a session asks for, and with what.
typedef struct {
  // What.
  KeystillOutputKind kind;
  // Bytes of the session, until it is polled again or freed; null where there are none.
  const uint8_t *data;
  // How many, a final zero of text not counted.
  size_t length;
  // The block that it is about.
  uint64_t block;
  // Bits of key.
  uint64_t bits;
  // Until when to wait; UINT64_MAX where nothing waits for time.
  uint64_t until_ns;
  // To be run, finished or freed; null but for COMPUTE.
  KeystillWork *work;
} KeystillOutput;

// A key of 256 bits with its ID, which is the same at both ends. Wipe it after use.
typedef struct {
  // Its ID.
  uint8_t id[16];
  // The key.
  uint8_t bytes[32];
} KeystillKey;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// How many bits the seed has, or 0 if there is no such hash: 1 <= output <= input <= 2^30.
// `matrix` is a KeystillMatrix.
size_t keystill_seed_bits(uint32_t matrix, size_t input_bits, size_t output_bits);

// Makes a hash of `input_bits` to `output_bits` from a seed of keystill_seed_bits() bits in
// `seed_length` bytes, and stores it in `*amplifier`. Free it with keystill_amplifier_free().
// `matrix` is a KeystillMatrix.
//
// # Safety
// `seed` points to `seed_length` bytes; `amplifier` to room for a pointer.
KeystillStatus keystill_amplifier_new(uint32_t matrix,
                                      size_t input_bits,
                                      size_t output_bits,
                                      const uint8_t *seed,
                                      size_t seed_length,
                                      KeystillAmplifier **amplifier);

// Hashes `input` into `output`; both lengths in bytes must be what their bits take. May be called by
// several threads at once.
//
// # Safety
// `amplifier` came from keystill_amplifier_new() and was not freed; `input` and `output` point to
// their lengths and do not overlap.
KeystillStatus keystill_amplify(const KeystillAmplifier *amplifier,
                                const uint8_t *input,
                                size_t input_length,
                                uint8_t *output,
                                size_t output_length);

// Frees a hash. Null is fine.
//
// # Safety
// `amplifier` is null, or came from keystill_amplifier_new() and is not used again.
void keystill_amplifier_free(KeystillAmplifier *amplifier);

// The version, such as "0.1.0". Never null; lives for ever.
const char *keystill_version(void);

// Writes what went wrong last in this thread into `buffer`, cut to `length` bytes with the final zero,
// and returns the bytes that the whole text takes, with the zero. `buffer` may be null if `length` is 0.
//
// # Safety
// `buffer` points to `length` bytes, or `length` is 0.
size_t keystill_last_error(char *buffer,
                           size_t length);

// The key length of a block of BB84, by the entropic-uncertainty bound for variable length.
// KEYSTILL_STATUS_NO_KEY if nothing is left; `*length` is then set too.
//
// # Safety
// `block` and `length` are null or point to their types.
KeystillStatus keystill_bb84_key_length(const KeystillBb84Block *block, KeystillKeyLength *length);

// The key length of a block of CV-QKD against collective attacks, with worst-case parameters.
// KEYSTILL_STATUS_NO_KEY if nothing is left; `*length` is then set too.
//
// # Safety
// `block` and `length` are null or point to their types.
KeystillStatus keystill_cv_key_length(const KeystillCvBlock *block, KeystillKeyLength *length);

// Begins one end of a BB84 link and stores it in `*session`. Free it with keystill_session_free().
//
// `role` is a KeystillRole. `number` is the session's: the same at both ends, never used before with the
// same pre-shared key. `pre_shared` is what both ends were given: 32 bytes for two hash keys, then 64 a
// block until its own key refills them. With a `store` the session remembers there, and goes on from what
// it remembered: the pre-shared key is installed the first time, and may be null later. Without one it
// ends with its process.
//
// # Safety
// `settings` points to settings, `pre_shared` to `pre_shared_length` bytes; `store` is null or came from
// keystill_store_open(); `session` points to room for a pointer.
KeystillStatus keystill_bb84_session_new(const KeystillBb84Settings *settings,
                                         uint32_t role,
                                         uint64_t number,
                                         const uint8_t *pre_shared,
                                         size_t pre_shared_length,
                                         const KeystillStore *store,
                                         KeystillSession **session);

// Begins one end of a CV-QKD link, as keystill_bb84_session_new() does of a BB84 link.
//
// # Safety
// As there.
KeystillStatus keystill_cv_session_new(const KeystillCvSettings *settings,
                                       uint32_t role,
                                       uint64_t number,
                                       const uint8_t *pre_shared,
                                       size_t pre_shared_length,
                                       const KeystillStore *store,
                                       KeystillSession **session);

// Tells that a new connection to the peer is there (`up` is not 0), or that there is none. Times are
// nanoseconds since any moment, and never go back.
//
// # Safety
// `session` came from keystill_*_session_new() and was not freed.
KeystillStatus keystill_session_link(KeystillSession *session,
                                     uint64_t now_ns,
                                     int32_t up);

// Tells that time has passed.
//
// # Safety
// As keystill_session_link().
KeystillStatus keystill_session_tick(KeystillSession *session, uint64_t now_ns);

// Hands over a whole message of the peer, in order.
//
// # Safety
// As keystill_session_link(); `message` points to `length` bytes.
KeystillStatus keystill_session_receive(KeystillSession *session,
                                        uint64_t now_ns,
                                        const uint8_t *message,
                                        size_t length);

// Stores in `*output` what the session asks for next. Poll after every call until it waits.
//
// # Safety
// As keystill_session_link(); `output` points to room for an output.
KeystillStatus keystill_session_poll(KeystillSession *session, KeystillOutput *output);

// Makes all that was asked to be remembered last, with one sync, and tells the session so. After
// KEYSTILL_STATUS_STORAGE the session cannot go on: free it, and begin again from the store.
//
// # Safety
// As keystill_session_link().
KeystillStatus keystill_session_remember(KeystillSession *session, uint64_t now_ns);

// Computes, on the calling thread: any, also while others use the session. Takes 0.1 ms or more.
//
// # Safety
// `work` came from keystill_session_poll() and was neither finished nor freed; one thread runs it.
KeystillStatus keystill_work_run(KeystillWork *work);

// Gives a computation back to the session that asked for it, and frees it. It is run here if it was not.
//
// # Safety
// As keystill_session_link(); `work` came from this very session and is not used again.
KeystillStatus keystill_session_finish(KeystillSession *session,
                                       uint64_t now_ns,
                                       KeystillWork *work);

// Frees a computation whose session is gone. Null is fine.
//
// # Safety
// `work` is null, or came from keystill_session_poll() and is not used again.
void keystill_work_free(KeystillWork *work);

// The index of the raw frame that the session expects next: it begins above 0 after a restart, and goes
// on after blocks that were lost. A frame's first gate or symbol is its index times the gates or symbols
// of a frame. 0 for null.
//
// # Safety
// `session` is null, or came from keystill_*_session_new() and was not freed.
uint64_t keystill_session_next_frame(const KeystillSession *session);

// Offers Alice's settings of the next frame: four bits a gate, two gates a byte, low nibble first: bit 0
// the bit, bit 1 set for the test basis, bits 2 and 3 the intensity. KEYSTILL_STATUS_FULL: offer it again.
//
// # Safety
// As keystill_session_link(); `settings` points to `length` bytes.
KeystillStatus keystill_session_offer_bb84_alice(KeystillSession *session,
                                                 uint64_t first_gate,
                                                 uint32_t gates,
                                                 const uint8_t *settings,
                                                 size_t length);

// Offers Bob's clicks of the next frame: their gates as offsets from the first, strictly increasing, and a
// byte each: bit 0 set for the test basis, bit 1 for the detector of bit 0, bit 2 for that of bit 1.
// KEYSTILL_STATUS_FULL: offer it again.
//
// # Safety
// As keystill_session_link(); `offsets` and `clicks` point to `count` each, or `count` is 0.
KeystillStatus keystill_session_offer_bb84_bob(KeystillSession *session,
                                               uint64_t first_gate,
                                               uint32_t gates,
                                               const uint32_t *offsets,
                                               const uint8_t *clicks,
                                               size_t count);

// Offers quadratures of the next frame, x and p of each symbol in turn: what Alice modulated, in square
// roots of shot-noise units, or what Bob measured, in his receiver's units. KEYSTILL_STATUS_FULL: offer it
// again.
//
// # Safety
// As keystill_session_link(); `quadratures` points to twice `symbols` numbers.
KeystillStatus keystill_session_offer_cv(KeystillSession *session,
                                         uint64_t first_symbol,
                                         const float *quadratures,
                                         size_t symbols);

// A figure of the last block that was over, such as "qber", "transmittance", "excess_noise_snu" or "snr".
// KEYSTILL_STATUS_OUT_OF_RANGE if it has none of that name.
//
// # Safety
// As keystill_session_link(); `name` ends with a zero, `value` points to room for a number.
KeystillStatus keystill_session_figure(KeystillSession *session,
                                       const char *name,
                                       double *value);

// Frees a session, and wipes what it held. Null is fine.
//
// # Safety
// `session` is null, or came from keystill_*_session_new() and is not used again.
void keystill_session_free(KeystillSession *session);

// Ten seconds of a 1 GHz system a block, failing with at most 1e-10; not calibrated, so without key.
//
// # Safety
// `settings` is null or points to room for settings.
void keystill_bb84_defaults(KeystillBb84Settings *settings);

// Ten seconds of a 10 MBd system a block, a receiver of efficiency 0.6 and electronic noise 0.1, failing
// with at most 1e-10; not calibrated, so without key.
//
// # Safety
// `settings` is null or points to room for settings.
void keystill_cv_defaults(KeystillCvSettings *settings);

// Opens the store in a folder, which is made if it is not there, and stores it in `*store`. One process
// at a time has it. Free it with keystill_store_free(), after the sessions that use it.
//
// # Safety
// `folder` ends with a zero; `store` points to room for a pointer.
KeystillStatus keystill_store_open(const char *folder,
                                   KeystillStore **store);

// How many keys can be delivered; 0 for null.
//
// # Safety
// `store` is null, or came from keystill_store_open() and was not freed.
uint64_t keystill_store_available(const KeystillStore *store);

// Delivers the next key, once ever: it is marked as spent on the disk before it is in `*key`.
// KEYSTILL_STATUS_NO_KEY if there is none. `share` is a KeystillShare. Any thread may call it.
//
// # Safety
// `store` came from keystill_store_open() and was not freed; `key` points to room for a key.
KeystillStatus keystill_store_next(const KeystillStore *store, uint32_t share, KeystillKey *key);

// Delivers the key of an ID, once ever. KEYSTILL_STATUS_NO_KEY if it never was here or is gone.
//
// # Safety
// `store` came from keystill_store_open() and was not freed; `id` points to 16 bytes, `key` to room for
// a key.
KeystillStatus keystill_store_by_id(const KeystillStore *store,
                                    const uint8_t *id,
                                    KeystillKey *key);

// Overwrites a key, so that the compiler leaves nothing of it. Null is fine.
//
// # Safety
// `key` is null or points to a key.
void keystill_key_wipe(KeystillKey *key);

// Frees a store. Null is fine. Sessions that use it keep it open until they are freed, too.
//
// # Safety
// `store` is null, or came from keystill_store_open() and is not used again.
void keystill_store_free(KeystillStore *store);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* KEYSTILL_H */
