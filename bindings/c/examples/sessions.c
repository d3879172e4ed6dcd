/* Both ends of a BB84 link in one process: raw frames in, equal keys out. A node has one of the two sessions, and a
 * socket where this has two arrays of messages.
 *
 * cc -std=c99 -I../include sessions.c -L../../target/release -lkeystill -o sessions && ./sessions alice.state
 *
 * Alice remembers in the folder that is named; Bob ends with the process. The link is a toy: a block this short leaves
 * no key at a failure probability that anybody would accept.
 */
#include <keystill.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GATES = 150000, FRAMES = 4, MOST_MESSAGES = 256 };

static void check(KeystillStatus status, const char *what) {
    char words[512];
    if (status == KEYSTILL_STATUS_OK) {
        return;
    }
    keystill_last_error(words, sizeof words);
    fprintf(stderr, "%s: %s\n", what, words);
    exit(1);
}

/* Messages on their way, oldest first. */
struct wire {
    uint8_t *messages[MOST_MESSAGES];
    size_t lengths[MOST_MESSAGES], first, count;
};

static void send_message(struct wire *wire, const uint8_t *data, size_t length) {
    uint8_t *copy = malloc(length);
    size_t at = (wire->first + wire->count) % MOST_MESSAGES;
    if (copy == NULL || wire->count == MOST_MESSAGES) {
        fprintf(stderr, "the wire is full\n");
        exit(1);
    }
    memcpy(copy, data, length);
    wire->messages[at] = copy;
    wire->lengths[at] = length;
    wire->count++;
}

/* One end of the link. */
struct end {
    KeystillRole role;
    KeystillSession *session;
    struct wire inbox;
    uint8_t *key;
    size_t key_length;
    int over;
};

static uint64_t state;

static uint32_t dice(uint32_t below) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((state >> 33) % below);
}

/* What the hardware would hand over of a frame: Alice's settings, or Bob's clicks, of the same gates. */
static KeystillStatus offer(struct end *end, uint64_t frame) {
    static const uint8_t intensities[8] = {0, 0, 0, 0, 0, 0, 1, 2};
    static const uint32_t arrive[3] = {362000, 165000, 900};
    static uint8_t settings[GATES / 2], clicks[GATES];
    static uint32_t offsets[GATES];
    size_t count = 0;
    state = frame + 1;
    memset(settings, 0, sizeof settings);
    for (uint32_t gate = 0; gate < GATES; gate++) {
        uint8_t intensity = intensities[dice(8)];
        uint8_t bit = dice(2) == 1, test = dice(3) == 0;
        settings[gate / 2] |= (uint8_t)((bit | test << 1 | intensity << 2) << (4 * (gate % 2)));
        if (dice(1000000) < arrive[intensity]) {
            uint8_t seen = bit ^ (dice(100) == 0);
            offsets[count] = gate;
            clicks[count++] = (uint8_t)((seen ? 4 : 2) | (dice(3) == 0));
        }
    }
    if (end->role == KEYSTILL_ROLE_ALICE) {
        return keystill_session_offer_bb84_alice(end->session, frame * GATES, GATES, settings, sizeof settings);
    }
    return keystill_session_offer_bb84_bob(end->session, frame * GATES, GATES, offsets, clicks, count);
}

/* Carries out what a session asks for until it waits. */
static void carry_out(struct end *end, struct end *peer) {
    KeystillOutput output;
    for (;;) {
        check(keystill_session_poll(end->session, &output), "poll");
        switch (output.kind) {
        case KEYSTILL_OUTPUT_KIND_WAIT:
            return;
        case KEYSTILL_OUTPUT_KIND_TRANSMIT:
            send_message(&peer->inbox, output.data, output.length);
            break;
        case KEYSTILL_OUTPUT_KIND_COMPUTE:
            /* A node has threads for this. */
            check(keystill_work_run(output.work), "work");
            check(keystill_session_finish(end->session, 0, output.work), "finish");
            break;
        case KEYSTILL_OUTPUT_KIND_REMEMBER:
            check(keystill_session_remember(end->session, 0), "remember");
            break;
        case KEYSTILL_OUTPUT_KIND_KEY:
            end->key = malloc(output.length);
            if (end->key == NULL) {
                exit(1);
            }
            memcpy(end->key, output.data, output.length);
            end->key_length = output.length;
            break;
        case KEYSTILL_OUTPUT_KIND_BLOCK:
            end->over = 1;
            printf("block %" PRIu64 ": %" PRIu64 " bits of key %s\n", output.block, output.bits,
                   (const char *)output.data);
            break;
        case KEYSTILL_OUTPUT_KIND_EVENT:
            printf("%s\n", (const char *)output.data);
            break;
        case KEYSTILL_OUTPUT_KIND_HANGUP:
            exit(1);
        }
    }
}

/* Offers what there is room for, and hears one message. */
static void step(struct end *end, struct end *peer) {
    uint64_t next = keystill_session_next_frame(end->session);
    while (next < FRAMES) {
        KeystillStatus status = offer(end, next);
        if (status == KEYSTILL_STATUS_FULL) {
            break;
        }
        check(status, "offer");
        next = keystill_session_next_frame(end->session);
    }
    if (end->inbox.count > 0) {
        struct wire *wire = &end->inbox;
        uint8_t *message = wire->messages[wire->first];
        size_t length = wire->lengths[wire->first];
        wire->first = (wire->first + 1) % MOST_MESSAGES;
        wire->count--;
        check(keystill_session_receive(end->session, 0, message, length), "receive");
        free(message);
    }
    carry_out(end, peer);
}

int main(int argc, char **argv) {
    /* In real life: the secret that both ends of the link were given. */
    uint8_t pre_shared[1024];
    memset(pre_shared, 7, sizeof pre_shared);
    KeystillBb84Settings settings;
    keystill_bb84_defaults(&settings);
    settings.gates_per_frame = GATES;
    settings.frames_per_block = FRAMES;
    settings.probabilities[0] = 0.75;
    settings.probabilities[1] = settings.probabilities[2] = 0.125;
    settings.test_basis[0] = settings.test_basis[1] = 0.3;
    settings.calibration_blocks = 1000;
    settings.dead_gates = 0;
    settings.most_clicks_per_frame = 60000;
    settings.epsilon = 1e-2;

    KeystillStore *store = NULL;
    if (argc > 1) {
        check(keystill_store_open(argv[1], &store), "store");
    }
    static struct end alice = {.role = KEYSTILL_ROLE_ALICE}, bob = {.role = KEYSTILL_ROLE_BOB};
    check(keystill_bb84_session_new(&settings, KEYSTILL_ROLE_ALICE, 1, pre_shared, sizeof pre_shared, store,
                                    &alice.session), "Alice");
    check(keystill_bb84_session_new(&settings, KEYSTILL_ROLE_BOB, 1, pre_shared, sizeof pre_shared, NULL, &bob.session),
          "Bob");

    /* Mistakes are told, not crashed on. */
    float quadratures[2] = {0, 0};
    if (keystill_session_offer_cv(alice.session, 0, quadratures, 1) != KEYSTILL_STATUS_OUT_OF_RANGE ||
        keystill_session_offer_bb84_bob(alice.session, 0, GATES, NULL, NULL, 0) != KEYSTILL_STATUS_OUT_OF_RANGE ||
        keystill_session_receive(alice.session, 0, NULL, 1) != KEYSTILL_STATUS_NULL_POINTER ||
        keystill_session_poll(NULL, NULL) != KEYSTILL_STATUS_NULL_POINTER) {
        return 1;
    }

    check(keystill_session_link(alice.session, 0, 1), "link");
    check(keystill_session_link(bob.session, 0, 1), "link");
    while (!alice.over || !bob.over) {
        step(&alice, &bob);
        step(&bob, &alice);
    }
    if (alice.key == NULL || alice.key_length != bob.key_length || memcmp(alice.key, bob.key, bob.key_length) != 0) {
        fprintf(stderr, "the keys differ, or there is none\n");
        return 1;
    }
    double qber = 0;
    check(keystill_session_figure(bob.session, "qber", &qber), "figure");
    printf("both ends hold the same %zu bytes of key, QBER %.2f %%\n", bob.key_length, 100 * qber);

    /* A message that was altered on its way ends the session, and it says so ever after. */
    uint8_t forged[64] = {0xff};
    if (keystill_session_receive(bob.session, 0, forged, sizeof forged) != KEYSTILL_STATUS_OVER ||
        keystill_session_tick(bob.session, 0) != KEYSTILL_STATUS_OVER) {
        return 1;
    }
    keystill_session_free(bob.session);
    keystill_session_free(alice.session);

    if (store != NULL) {
        /* Delivered from the disk, once, under an ID that the other end would know, too. */
        KeystillKey key, again;
        uint64_t keys = keystill_store_available(store);
        check(keystill_store_next(store, KEYSTILL_SHARE_ALL, &key), "next key");
        if (memcmp(key.bytes, alice.key, sizeof key.bytes) != 0 ||
            keystill_store_available(store) != keys - 1 ||
            keystill_store_by_id(store, key.id, &again) != KEYSTILL_STATUS_NO_KEY) {
            return 1;
        }
        printf("%" PRIu64 " keys of 256 bits are stored, the first was delivered once\n", keys);
        keystill_key_wipe(&key);
        keystill_store_free(store);
    }
    free(alice.key);
    free(bob.key);
    puts("ok");
    return 0;
}
