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
} KeystillStatus;

// Which universal family.
typedef enum {
  // A full Toeplitz matrix: a seed of input + output - 1 bits.
  KEYSTILL_MATRIX_PLAIN = 0,
  // A Toeplitz matrix beside the identity: a seed of input - 1 bits, and less work.
  KEYSTILL_MATRIX_MODIFIED = 1,
} KeystillMatrix;

// A hash with its seed, ready for several inputs. Opaque.
typedef struct KeystillAmplifier KeystillAmplifier;

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

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* KEYSTILL_H */
