/*
 * bench/lib/sealed.c - see sealed.h.
 */
#include "lib/sealed.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/client.h"
#include "lib/load.h"

enum { HEAD = 5, TAG = 16, IV = 12, SECRET = 32, RECORD_MAX = HEAD + SEALED_PLAIN_MAX + 256, OPENED_EACH = 16, APPLICATION_DATA = 23 };

/* One direction: its key is in the cipher's context. */
struct way {
    EVP_CIPHER_CTX *cipher;
    uint8_t iv[IV];
    uint64_t number; /* of the next record */
};

struct sealed {
    struct way to, from;
    uint8_t head[HEAD]; /* of the record that comes in */
    unsigned head_len;
    size_t left;        /* bytes of its body still to come */
};

/* --- Keys --------------------------------------------------------------------------------------------------------------- */

/* Of the handshake under way: what OpenSSL logs. */
static uint8_t secrets[2][SECRET];
static int secrets_seen;

static void take_secret(const SSL *ssl, const char *line)
{
    static const char *const names[2] = {"CLIENT_TRAFFIC_SECRET_0 ", "SERVER_TRAFFIC_SECRET_0 "};

    (void)ssl;
    for (int i = 0; i < 2; i++) {
        const char *hex = strrchr(line, ' ') + 1;

        if (strncmp(line, names[i], strlen(names[i])) != 0 || strlen(hex) != 2 * SECRET)
            continue;
        for (int k = 0; k < SECRET; k++) {
            char byte[3] = {hex[2 * k], hex[2 * k + 1], '\0'};
            secrets[i][k] = (uint8_t)strtoul(byte, NULL, 16);
        }
        secrets_seen |= 1 << i;
    }
}

/* HKDF-Expand-Label with an empty context (RFC 8446 section 7.1), up to one block of SHA-256. */
static void expand(uint8_t *to, size_t len, const uint8_t *secret, const char *label)
{
    uint8_t info[64] = {0, (uint8_t)len, (uint8_t)(6 + strlen(label))}, block[32];
    size_t n = 3;

    memcpy(info + n, "tls13 ", 6);
    memcpy(info + n + 6, label, strlen(label));
    n += 6 + strlen(label);
    info[n++] = 0; /* the context's length */
    info[n++] = 1; /* the block's number */
    if (HMAC(EVP_sha256(), secret, SECRET, info, n, block, NULL) == NULL)
        load_die("HMAC failed");
    memcpy(to, block, len);
}

static void way_open(struct way *way, const uint8_t *secret, int seals)
{
    uint8_t key[16];

    expand(key, sizeof key, secret, "key");
    expand(way->iv, IV, secret, "iv");
    way->cipher = EVP_CIPHER_CTX_new();
    if (way->cipher == NULL || EVP_CipherInit_ex(way->cipher, EVP_aes_128_gcm(), NULL, key, NULL, seals) != 1)
        load_die("no AES-128-GCM");
}

/* --- Records ------------------------------------------------------------------------------------------------------------ */

static void begin(struct way *way, const uint8_t *head)
{
    uint8_t nonce[IV];
    int n;

    memcpy(nonce, way->iv, IV);
    for (int i = 0; i < 8; i++)
        nonce[IV - 1 - i] ^= (uint8_t)(way->number >> 8 * i);
    way->number++;
    if (EVP_CipherInit_ex(way->cipher, NULL, NULL, NULL, nonce, -1) != 1 || EVP_CipherUpdate(way->cipher, NULL, &n, head, HEAD) != 1)
        load_die("cipher failed");
}

size_t sealed_seal(struct sealed *sealed, uint8_t *to, const uint8_t *plain, size_t len)
{
    static const uint8_t type = APPLICATION_DATA;
    size_t body = len + 1 + TAG;
    uint8_t *at = to + HEAD;
    int n;

    to[0] = APPLICATION_DATA;
    to[1] = to[2] = 3;
    to[3] = (uint8_t)(body >> 8);
    to[4] = (uint8_t)body;
    begin(&sealed->to, to);
    if (EVP_EncryptUpdate(sealed->to.cipher, at, &n, plain, (int)len) != 1 || EVP_EncryptUpdate(sealed->to.cipher, at + len, &n, &type, 1) != 1 ||
        EVP_EncryptFinal_ex(sealed->to.cipher, at + len + 1, &n) != 1 ||
        EVP_CIPHER_CTX_ctrl(sealed->to.cipher, EVP_CTRL_AEAD_GET_TAG, TAG, at + len + 1) != 1)
        load_die("cipher failed");
    return HEAD + body;
}

/* Opens a whole record in its place. Returns its plaintext's length; *type as found at its end. */
static size_t record_open(struct sealed *sealed, uint8_t *record, size_t body, uint8_t *type)
{
    uint8_t *at = record + HEAD;
    int n;

    begin(&sealed->from, record);
    if (body < TAG + 1 || EVP_DecryptUpdate(sealed->from.cipher, at, &n, at, (int)(body - TAG)) != 1 ||
        EVP_CIPHER_CTX_ctrl(sealed->from.cipher, EVP_CTRL_AEAD_SET_TAG, TAG, at + body - TAG) != 1 ||
        EVP_DecryptFinal_ex(sealed->from.cipher, at + body - TAG, &n) != 1)
        load_die("a record that does not open");
    *type = at[body - TAG - 1];
    return body - TAG - 1;
}

void sealed_take(struct sealed *sealed, uint8_t *bytes, size_t len, void (*plain)(void *context, const uint8_t *bytes, size_t len), void *context)
{
    while (len > 0) {
        if (sealed->left > 0) { /* of one that is not opened */
            size_t n = sealed->left < len ? sealed->left : len;

            sealed->left -= n;
            bytes += n;
            len -= n;
            continue;
        }
        if (sealed->head_len == 0 && len >= HEAD && sealed->from.number % OPENED_EACH == 0) {
            size_t body = (size_t)bytes[3] << 8 | bytes[4];
            uint8_t type;

            if (len >= HEAD + body) {
                size_t n = record_open(sealed, bytes, body, &type);

                if (type != APPLICATION_DATA)
                    load_die("a record of type %u", type);
                plain(context, bytes + HEAD, n);
                bytes += HEAD + body;
                len -= HEAD + body;
                continue;
            }
        }
        sealed->head[sealed->head_len++] = *bytes++;
        len--;
        if (sealed->head_len < HEAD)
            continue;
        sealed->head_len = 0;
        sealed->left = (size_t)sealed->head[3] << 8 | sealed->head[4];
        if (sealed->head[0] != APPLICATION_DATA || sealed->left < TAG + 1)
            load_die("no record: it begins with %02x", sealed->head[0]);
        sealed->from.number++;
        plain(context, NULL, sealed->left - TAG - 1);
    }
}

/* --- The handshakes ----------------------------------------------------------------------------------------------------- */

static void shake(int fd)
{
    static SSL_CTX *context;
    SSL *ssl;

    if (context == NULL) {
        context = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
        SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256");
        SSL_CTX_set_keylog_callback(context, take_secret);
    }
    secrets_seen = 0;
    ssl = SSL_new(context);
    if (ssl == NULL || SSL_set_fd(ssl, fd) != 1 || SSL_connect(ssl) != 1 || secrets_seen != 3)
        load_die("the TLS handshake failed");
    SSL_set_quiet_shutdown(ssl, 1);
    SSL_free(ssl); /* which leaves the socket open: the BIO was given no right to close it */
}

static void receive(int fd, uint8_t *to, size_t len)
{
    if (recv(fd, to, len, MSG_WAITALL) != (ssize_t)len)
        load_die("handshake: %s", errno != 0 ? strerror(errno) : "closed");
}

/* Reads whole records, tickets too, until the answer is there. */
static void upgrade(struct sealed *sealed, int fd, const char *path)
{
    static uint8_t record[RECORD_MAX];
    char text[CLIENT_ANSWER_MAX];
    const char *wrong = "";
    size_t len = client_request(text, sizeof text, path, 0), answer = 0;
    size_t n = sealed_seal(sealed, record, (const uint8_t *)text, len);

    if (send(fd, record, n, MSG_NOSIGNAL) != (ssize_t)n)
        load_die("handshake: %s", strerror(errno));
    while (wrong != NULL && *wrong == '\0') {
        uint8_t type;
        size_t body;

        receive(fd, record, HEAD);
        body = (size_t)record[3] << 8 | record[4];
        if (HEAD + body > sizeof record)
            load_die("handshake: a record of %zu bytes", body);
        receive(fd, record + HEAD, body);
        n = record_open(sealed, record, body, &type);
        if (type != APPLICATION_DATA)
            continue;
        if (n > sizeof text - 1 - answer)
            load_die("handshake: the answer does not end");
        memcpy(text + answer, record + HEAD, n);
        answer += n;
        text[answer] = '\0';
        wrong = client_answer_check(text, answer, 0);
    }
    if (wrong != NULL)
        load_die("handshake: %s", wrong);
}

struct sealed *sealed_upgrade(int fd, const char *path)
{
    struct sealed *sealed = calloc(1, sizeof *sealed);

    if (sealed == NULL)
        load_die("out of memory");
    shake(fd);
    way_open(&sealed->to, secrets[0], 1);
    way_open(&sealed->from, secrets[1], 0);
    upgrade(sealed, fd, path);
    return sealed;
}
