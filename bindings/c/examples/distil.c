/* From a block's counts to secret key: how long it may be, and the hash that makes it so.
 *
 * cc -std=c99 -I../include distil.c -L../../target/release -lkeystill -o distil
 */
#include <keystill.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(KeystillStatus status, const char *what) {
    char words[256];
    if (status == KEYSTILL_STATUS_OK) {
        return;
    }
    keystill_last_error(words, sizeof words);
    fprintf(stderr, "%s: %s\n", what, words);
    exit(1);
}

int main(void) {
    /* Ten seconds at 1 GHz over 8 dB. */
    KeystillBb84Block block = {
        .key = {31000000, 2200000, 26000},
        .test = {630000, 45000, 530},
        .test_errors = {24000, 2000, 250},
        .mean_photons = {0.5, 0.2, 0.001},
        .probabilities = {0.81, 0.14, 0.05},
        .test_basis = {0.125, 0.125},
        .disclosed_bits = 8500000,
        .epsilon = 1e-10,
    };
    KeystillKeyLength length;
    check(keystill_bb84_key_length(&block, &length), "key length");
    printf("keystill %s: %" PRIu64 " bits of key, phase errors at most %.2f %%\n", keystill_version(), length.bits,
           100 * length.worst_noise);

    /* A small block, hashed. The seed is fresh random in real life, the input the verified bits. */
    enum { INPUT = 100000, OUTPUT = 20000 };
    size_t seed_bits = keystill_seed_bits(KEYSTILL_MATRIX_MODIFIED, INPUT, OUTPUT);
    size_t seed_length = (seed_bits + 7) / 8;
    uint8_t *seed = malloc(seed_length);
    static uint8_t input[(INPUT + 7) / 8], key[(OUTPUT + 7) / 8], again[(OUTPUT + 7) / 8];
    if (seed == NULL) {
        return 1;
    }
    for (size_t i = 0; i < seed_length; i++) {
        seed[i] = (uint8_t)(i * 2654435761u >> 13);
    }
    for (size_t i = 0; i < sizeof input; i++) {
        input[i] = (uint8_t)(i * 40503u >> 5);
    }
    KeystillAmplifier *amplifier = NULL;
    check(keystill_amplifier_new(KEYSTILL_MATRIX_MODIFIED, INPUT, OUTPUT, seed, seed_length, &amplifier), "amplifier");
    check(keystill_amplify(amplifier, input, sizeof input, key, sizeof key), "amplify");
    input[0] ^= 1;
    check(keystill_amplify(amplifier, input, sizeof input, again, sizeof again), "amplify");
    keystill_amplifier_free(amplifier);

    size_t differ = 0;
    for (size_t i = 0; i < OUTPUT; i++) {
        differ += ((key[i / 8] ^ again[i / 8]) >> (i % 8)) & 1;
    }
    printf("one bit of the input changed %zu of %d bits of the key\n", differ, OUTPUT);
    if (differ < OUTPUT * 2 / 5 || differ > OUTPUT * 3 / 5) {
        return 1;
    }

    /* Mistakes are told, not crashed on. */
    if (keystill_amplify(NULL, input, sizeof input, key, sizeof key) != KEYSTILL_STATUS_NULL_POINTER ||
        keystill_seed_bits(KEYSTILL_MATRIX_PLAIN, 10, 11) != 0 ||
        keystill_bb84_key_length(NULL, &length) != KEYSTILL_STATUS_NULL_POINTER) {
        return 1;
    }
    block.disclosed_bits = 50000000;
    if (keystill_bb84_key_length(&block, &length) != KEYSTILL_STATUS_NO_KEY || length.bits != 0) {
        return 1;
    }
    free(seed);
    puts("ok");
    return 0;
}
