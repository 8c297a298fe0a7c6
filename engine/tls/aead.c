/*
 * tls/aead.c - see aead.h.
 */
#include "tls/aead.h"

#include <openssl/crypto.h>
#include <pthread.h>
#include <string.h>

#if defined(__x86_64__) && defined(__has_include)
#if __has_include(<intel-ipsec-mb.h>)
#define WITH_MB 1
#endif
#endif

#ifdef WITH_MB
#include <intel-ipsec-mb.h>
#endif

unsigned wsr_aead_key_bytes(enum wsr_aead_kind kind)
{
    return kind == WSR_AEAD_AES_128_GCM ? 16 : 32;
}

/* ---- libipsec-mb ---- */

static bool plain;

void wsr_aead_plain(bool on)
{
    plain = on;
}

#ifdef WITH_MB

/* Its table of functions, which is all that is used of it: no state, so any thread. Lives as long as the process. */
static IMB_MGR *manager;
static pthread_once_t manager_once = PTHREAD_ONCE_INIT;

_Static_assert(sizeof(struct gcm_key_data) + 63 <= sizeof(((struct wsr_aead *)NULL)->room), "a key fits wherever the room begins");

static void make_manager(void)
{
    const uint64_t needed = IMB_FEATURE_AVX2 | IMB_FEATURE_AESNI | IMB_FEATURE_PCLMULQDQ;
    IMB_MGR *made = alloc_mb_mgr(0);
    if (made == NULL)
        return;
    if ((made->features & needed) != needed) {
        free_mb_mgr(made);
        return;
    }
    init_mb_mgr_auto(made, NULL);
    manager = made;
}

static bool has_mb(enum wsr_aead_kind kind)
{
    if (plain || kind == WSR_AEAD_CHACHA20_POLY1305)
        return false;
    pthread_once(&manager_once, make_manager);
    return manager != NULL;
}

static struct gcm_key_data *mb_key(struct wsr_aead *aead)
{
    return (struct gcm_key_data *)(void *)(((uintptr_t)aead->room + 63) & ~(uintptr_t)63);
}

static void mb_init(struct wsr_aead *aead, enum wsr_aead_kind kind, const uint8_t *key)
{
    aead->long_key = kind == WSR_AEAD_AES_256_GCM;
    if (aead->long_key)
        IMB_AES256_GCM_PRE(manager, key, mb_key(aead));
    else
        IMB_AES128_GCM_PRE(manager, key, mb_key(aead));
}

/* Up to so many bytes are copied first, so that the type stands behind them and one call does it all. */
#define COPIED_MAX 2048u

static void mb_seal(struct wsr_aead *aead, const uint8_t *nonce, const uint8_t *head, uint8_t *to, wsr_slice content, uint8_t type)
{
    const struct gcm_key_data *key = mb_key(aead);
    struct gcm_context_data context;
    const size_t len = content.len + 1;
    if (len <= COPIED_MAX) {
        if (content.len > 0 && content.ptr != to)
            memcpy(to, content.ptr, content.len);
        to[content.len] = type;
        if (aead->long_key)
            IMB_AES256_GCM_ENC(manager, key, &context, to, to, len, nonce, head, WSR_AEAD_HEAD, to + len, WSR_AEAD_TAG);
        else
            IMB_AES128_GCM_ENC(manager, key, &context, to, to, len, nonce, head, WSR_AEAD_HEAD, to + len, WSR_AEAD_TAG);
    } else if (aead->long_key) {
        IMB_AES256_GCM_INIT(manager, key, &context, nonce, head, WSR_AEAD_HEAD);
        IMB_AES256_GCM_ENC_UPDATE(manager, key, &context, to, content.ptr, content.len);
        IMB_AES256_GCM_ENC_UPDATE(manager, key, &context, to + content.len, &type, 1);
        IMB_AES256_GCM_ENC_FINALIZE(manager, key, &context, to + len, WSR_AEAD_TAG);
    } else {
        IMB_AES128_GCM_INIT(manager, key, &context, nonce, head, WSR_AEAD_HEAD);
        IMB_AES128_GCM_ENC_UPDATE(manager, key, &context, to, content.ptr, content.len);
        IMB_AES128_GCM_ENC_UPDATE(manager, key, &context, to + content.len, &type, 1);
        IMB_AES128_GCM_ENC_FINALIZE(manager, key, &context, to + len, WSR_AEAD_TAG);
    }
}

static bool mb_open(struct wsr_aead *aead, const uint8_t *nonce, const uint8_t *head, wsr_span body)
{
    const struct gcm_key_data *key = mb_key(aead);
    struct gcm_context_data context;
    uint8_t tag[WSR_AEAD_TAG];
    const size_t len = body.len - WSR_AEAD_TAG;
    if (aead->long_key)
        IMB_AES256_GCM_DEC(manager, key, &context, body.ptr, body.ptr, len, nonce, head, WSR_AEAD_HEAD, tag, WSR_AEAD_TAG);
    else
        IMB_AES128_GCM_DEC(manager, key, &context, body.ptr, body.ptr, len, nonce, head, WSR_AEAD_HEAD, tag, WSR_AEAD_TAG);
    return CRYPTO_memcmp(tag, body.ptr + len, WSR_AEAD_TAG) == 0;
}

#else

static bool has_mb(enum wsr_aead_kind kind)
{
    (void)kind;
    return false;
}

static void mb_init(struct wsr_aead *aead, enum wsr_aead_kind kind, const uint8_t *key)
{
    (void)aead, (void)kind, (void)key;
}

static void mb_seal(struct wsr_aead *aead, const uint8_t *nonce, const uint8_t *head, uint8_t *to, wsr_slice content, uint8_t type)
{
    (void)aead, (void)nonce, (void)head, (void)to, (void)content, (void)type;
}

static bool mb_open(struct wsr_aead *aead, const uint8_t *nonce, const uint8_t *head, wsr_span body)
{
    (void)aead, (void)nonce, (void)head, (void)body;
    return false;
}

#endif

/* ---- either ---- */

bool wsr_aead_init(struct wsr_aead *aead, enum wsr_aead_kind kind, const uint8_t *key, bool seals)
{
    const EVP_CIPHER *cipher = kind == WSR_AEAD_AES_128_GCM   ? EVP_aes_128_gcm()
                               : kind == WSR_AEAD_AES_256_GCM ? EVP_aes_256_gcm()
                                                              : EVP_chacha20_poly1305();
    aead->evp = NULL;
    if (has_mb(kind)) {
        mb_init(aead, kind, key);
        return true;
    }
    aead->evp = EVP_CIPHER_CTX_new();
    return aead->evp != NULL && EVP_CipherInit_ex(aead->evp, cipher, NULL, key, NULL, seals) == 1;
}

void wsr_aead_fini(struct wsr_aead *aead)
{
    EVP_CIPHER_CTX_free(aead->evp);
    OPENSSL_cleanse(aead, sizeof *aead);
}

bool wsr_aead_seal(struct wsr_aead *aead, const uint8_t *nonce, const uint8_t *head, uint8_t *to, wsr_slice content, uint8_t type)
{
    int n;
    if (aead->evp == NULL) {
        mb_seal(aead, nonce, head, to, content, type);
        return true;
    }
    return EVP_CipherInit_ex(aead->evp, NULL, NULL, NULL, nonce, -1) == 1 && EVP_EncryptUpdate(aead->evp, NULL, &n, head, WSR_AEAD_HEAD) == 1 &&
           (content.len == 0 || EVP_EncryptUpdate(aead->evp, to, &n, content.ptr, (int)content.len) == 1) &&
           EVP_EncryptUpdate(aead->evp, to + content.len, &n, &type, 1) == 1 &&
           EVP_EncryptFinal_ex(aead->evp, to + content.len + 1, &n) == 1 &&
           EVP_CIPHER_CTX_ctrl(aead->evp, EVP_CTRL_AEAD_GET_TAG, WSR_AEAD_TAG, to + content.len + 1) == 1;
}

bool wsr_aead_open(struct wsr_aead *aead, const uint8_t *nonce, const uint8_t *head, wsr_span body)
{
    const size_t len = body.len - WSR_AEAD_TAG;
    int n;
    if (aead->evp == NULL)
        return mb_open(aead, nonce, head, body);
    return EVP_CipherInit_ex(aead->evp, NULL, NULL, NULL, nonce, -1) == 1 && EVP_DecryptUpdate(aead->evp, NULL, &n, head, WSR_AEAD_HEAD) == 1 &&
           EVP_DecryptUpdate(aead->evp, body.ptr, &n, body.ptr, (int)len) == 1 &&
           EVP_CIPHER_CTX_ctrl(aead->evp, EVP_CTRL_AEAD_SET_TAG, WSR_AEAD_TAG, body.ptr + len) == 1 &&
           EVP_DecryptFinal_ex(aead->evp, body.ptr + len, &n) == 1;
}
