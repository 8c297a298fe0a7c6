/*
 * tls/crypto.c - SHA-1, random bytes and fork detection, from OpenSSL and the kernel (see crypto.h).
 */
/*
 * SHA-1 as such, without a provider: the accept key is neither secret nor signed, and EVP's look-up, locks and allocations take six
 * times as long as its 60 bytes.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "tls/crypto.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#define AES_KEY_BYTES 32
#define AES_BLOCK_BYTES 16

/* Far below the 2^32 blocks that one key and counter may make; often enough that a key found in memory tells little. */
#define RESEED_BYTES ((size_t)1 << 20)

struct wsr_crypto_stream {
    EVP_CIPHER_CTX *cipher;
    size_t left;    /* bytes until the next reseeding; 0: no usable key */
    uint32_t epoch; /* of the process that seeded */
};

int wsr_crypto_sha1(const uint8_t *in, size_t len, uint8_t out[20])
{
    SHA_CTX sha;
    return SHA1_Init(&sha) == 1 && SHA1_Update(&sha, in, len) == 1 && SHA1_Final(out, &sha) == 1 ? WSR_OK : WSR_ESYS;
}

int wsr_crypto_random(void *context, uint8_t *out, size_t n)
{
    (void)context;
    while (n > 0) {
        ssize_t got = getrandom(out, n, 0);
        if (got > 0) {
            out += got;
            n -= (size_t)got;
        } else if (errno != EINTR) {
            return WSR_ERANDOM;
        }
    }
    return WSR_OK;
}

/* --- Forks ------------------------------------------------------------------------------------------------------------ */

/*
 * Two nets. A fork handler counts the generations; and the number lives in a page that the kernel zeroes in a child,
 * which also catches a child made by clone(2) itself, where no handler runs.
 */
static const uint32_t no_epoch = 0;
static const uint32_t *epoch_seen = &no_epoch; /* what callers look at */
static uint32_t *epoch_page;                   /* the same, writable; NULL where the kernel cannot wipe */
static uint32_t generations;
static pthread_once_t epoch_once = PTHREAD_ONCE_INIT;

static void new_generation(void)
{
    if (epoch_page != NULL) {
        if (++generations == 0) {
            generations = 1;
        }
        *epoch_page = generations;
    }
}

static void epoch_start(void)
{
    const size_t bytes = 4096;
    void *page = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) {
        return;
    }
    if (madvise(page, bytes, MADV_WIPEONFORK) != 0 || pthread_atfork(NULL, NULL, new_generation) != 0) {
        munmap(page, bytes);
        return;
    }
    epoch_page = page;
    epoch_seen = page;
    new_generation();
}

const uint32_t *wsr_crypto_fork_epoch(void)
{
    pthread_once(&epoch_once, epoch_start);
    return epoch_seen;
}

/* --- The stream ------------------------------------------------------------------------------------------------------- */

static int reseed(struct wsr_crypto_stream *stream)
{
    uint8_t seed[AES_KEY_BYTES + AES_BLOCK_BYTES];
    int error = wsr_crypto_random(NULL, seed, sizeof seed);
    if (error == WSR_OK && EVP_EncryptInit_ex(stream->cipher, EVP_aes_256_ctr(), NULL, seed, seed + AES_KEY_BYTES) != 1) {
        error = WSR_ERANDOM;
    }
    OPENSSL_cleanse(seed, sizeof seed);
    stream->left = error == WSR_OK ? RESEED_BYTES : 0;
    return error;
}

int wsr_crypto_stream_open(struct wsr_crypto_stream **out)
{
    struct wsr_crypto_stream *stream = calloc(1, sizeof *stream);
    if (stream == NULL) {
        return WSR_ENOMEM;
    }
    stream->cipher = EVP_CIPHER_CTX_new();
    stream->epoch = *wsr_crypto_fork_epoch();
    int error = stream->cipher != NULL ? reseed(stream) : WSR_ENOMEM;
    if (error != WSR_OK) {
        wsr_crypto_stream_close(stream);
        return error;
    }
    *out = stream;
    return WSR_OK;
}

/* A child that no fork handler saw has 0 here; from now on it is a generation of its own. */
static uint32_t current_epoch(void)
{
    if (epoch_page != NULL && *epoch_page == 0) {
        new_generation();
    }
    return *epoch_seen;
}

int wsr_crypto_stream_fill(void *context, uint8_t *out, size_t n)
{
    struct wsr_crypto_stream *stream = context;
    uint32_t epoch = current_epoch();
    if (epoch == 0) {
        return wsr_crypto_random(NULL, out, n);
    }
    if (epoch != stream->epoch) {
        stream->epoch = epoch;
        stream->left = 0;
    }
    while (n > 0) {
        int error = stream->left == 0 ? reseed(stream) : WSR_OK;
        if (error != WSR_OK) {
            return error;
        }
        size_t some = n < stream->left ? n : stream->left;
        int made = 0;
        /* The key stream is the encryption of zeros; in and out may be the same memory. */
        memset(out, 0, some);
        if (EVP_EncryptUpdate(stream->cipher, out, &made, out, (int)some) != 1 || (size_t)made != some) {
            stream->left = 0;
            return WSR_ERANDOM;
        }
        stream->left -= some;
        out += some;
        n -= some;
    }
    return WSR_OK;
}

void wsr_crypto_stream_close(struct wsr_crypto_stream *stream)
{
    if (stream != NULL) {
        EVP_CIPHER_CTX_free(stream->cipher); /* cleanses the key */
        free(stream);
    }
}
