/*
 * tls/certificate.c - certificates, keys and roots from PEM files (RFC 7468), or a self-signed certificate made in memory.
 */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "tls/context.h"

/* ---- files ---- */

/* OpenSSL says of a file that is not there much the same as of one that is no PEM. */
static int readable(const char *what, const char *path, char *why, size_t cap)
{
    struct stat is;
    FILE *file = stat(path, &is) == 0 ? fopen(path, "re") : NULL;
    if (file == NULL)
        return wsr_tls_complain(why, cap, "%s %s: %s", what, path, strerror(errno));
    fclose(file);
    return WSR_OK;
}

static int load_files(SSL_CTX *ctx, const char *certificate, const char *key, char *why, size_t cap)
{
    int error = readable("certificate", certificate, why, cap);
    if (error == WSR_OK)
        error = readable("key", key, why, cap);
    if (error < 0)
        return error;
    if (SSL_CTX_use_certificate_chain_file(ctx, certificate) != 1)
        return wsr_tls_complain(why, cap, "certificate %s is no good", certificate);
    if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1) {
        const int reason = ERR_GET_REASON(ERR_peek_error());
        const bool other = ERR_GET_LIB(ERR_peek_error()) == ERR_LIB_X509 && reason == X509_R_KEY_VALUES_MISMATCH;
        return wsr_tls_complain(why, cap,
                                other ? "key %s is not that of certificate %s" : "key %s (of certificate %s) is no good, or encrypted",
                                key, certificate);
    }
    if (SSL_CTX_check_private_key(ctx) != 1)
        return wsr_tls_complain(why, cap, "key %s is not that of certificate %s", key, certificate);
    return WSR_OK;
}

int wsr_tls_load_own(SSL_CTX *ctx, const struct wsr_tls *tls, char *why, size_t cap)
{
    const wsr_tls_config *config = &tls->config;
    if (tls->self_certificate != NULL) {
        if (SSL_CTX_use_certificate(ctx, tls->self_certificate) == 1 && SSL_CTX_use_PrivateKey(ctx, tls->self_key) == 1)
            return WSR_OK;
        return wsr_tls_complain(why, cap, "the certificate that was made is no good");
    }
    if (config->certificate == NULL)
        return WSR_OK;
    return load_files(ctx, config->certificate, config->key != NULL ? config->key : config->certificate, why, cap);
}

int wsr_tls_load_trust(SSL_CTX *ctx, const struct wsr_tls *tls, char *why, size_t cap)
{
    const char *trust = tls->config.trust;
    const bool server = tls->config.role == WSR_SERVER;
    if (trust == NULL) {
        if (!server && !tls->config.verify_none && SSL_CTX_set_default_verify_paths(ctx) != 1)
            return wsr_tls_complain(why, cap, "this system's roots cannot be read");
        return WSR_OK;
    }
    struct stat is;
    int error = readable("trusted roots", trust, why, cap);
    if (error < 0)
        return error;
    const bool folder = stat(trust, &is) == 0 && S_ISDIR(is.st_mode);
    if (SSL_CTX_load_verify_locations(ctx, folder ? NULL : trust, folder ? trust : NULL) != 1)
        return wsr_tls_complain(why, cap, "trusted roots %s are no good", trust);
    if (!server)
        return WSR_OK;
    /* The names that a server sends along, so that a client can choose among its certificates (RFC 8446 section 4.2.4). */
    STACK_OF(X509_NAME) *names = folder ? sk_X509_NAME_new_null() : SSL_load_client_CA_file(trust);
    if (names == NULL || (folder && SSL_add_dir_cert_subjects_to_stack(names, trust) != 1)) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        return wsr_tls_complain(why, cap, "trusted roots %s have no name", trust);
    }
    SSL_CTX_set_client_CA_list(ctx, names);
    return WSR_OK;
}

/* ---- in memory ---- */

#define SELF_SIGNED_DAYS 30

static bool add_extension(X509 *certificate, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    const bool good = extension != NULL && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return good;
}

/* "localhost, 127.0.0.1" to "DNS:localhost,IP:127.0.0.1"; false: too long, or an item is empty. */
static bool alternative_names(char *to, size_t cap, const char *names)
{
    size_t at = 0;
    for (const char *item = names; item != NULL;) {
        const char *comma = strchr(item, ',');
        item += strspn(item, " ");
        size_t len = comma != NULL ? (size_t)(comma - item) : strlen(item);
        while (len > 0 && item[len - 1] == ' ')
            len--;
        char name[256];
        if (len == 0 || len >= sizeof name)
            return false;
        memcpy(name, item, len);
        name[len] = '\0';
        ASN1_OCTET_STRING *address = a2i_IPADDRESS(name);
        int n = snprintf(to + at, cap - at, "%s%s:%s", at > 0 ? "," : "", address != NULL ? "IP" : "DNS", name);
        ASN1_OCTET_STRING_free(address);
        if (n < 0 || (size_t)n >= cap - at)
            return false;
        at += (size_t)n;
        item = comma != NULL ? comma + 1 : NULL;
    }
    ERR_clear_error(); /* of a name that was no address */
    return at > 0;
}

static bool set_validity_and_serial(X509 *certificate)
{
    BIGNUM *number = BN_new();
    const bool good = number != NULL && BN_rand(number, 127, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
                      BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != NULL &&
                      X509_gmtime_adj(X509_getm_notBefore(certificate), -60 * 60) != NULL && /* clocks differ */
                      X509_time_adj_ex(X509_getm_notAfter(certificate), SELF_SIGNED_DAYS, 0, NULL) != NULL;
    BN_free(number);
    return good;
}

static bool fill_certificate(X509 *certificate, EVP_PKEY *key, const char *names)
{
    static const unsigned char name[] = "wsring self-signed";
    X509_NAME *subject = X509_get_subject_name(certificate);
    return X509_set_version(certificate, X509_VERSION_3) == 1 && set_validity_and_serial(certificate) &&
           X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, name, sizeof name - 1, -1, 0) == 1 &&
           X509_set_issuer_name(certificate, subject) == 1 && X509_set_pubkey(certificate, key) == 1 &&
           add_extension(certificate, NID_basic_constraints, "critical,CA:FALSE") &&
           add_extension(certificate, NID_key_usage, "critical,digitalSignature") &&
           add_extension(certificate, NID_ext_key_usage, "serverAuth") && add_extension(certificate, NID_subject_alt_name, names) &&
           X509_sign(certificate, key, EVP_sha256()) != 0;
}

int wsr_tls_make_own(struct wsr_tls *tls, char *why, size_t cap)
{
    char names[1024];
    if (!alternative_names(names, sizeof names, tls->config.self_signed))
        return wsr_tls_complain(why, cap, "no list of names and addresses: \"%s\"", tls->config.self_signed);
    tls->self_key = EVP_EC_gen("P-256");
    tls->self_certificate = X509_new();
    if (tls->self_key == NULL || tls->self_certificate == NULL)
        return WSR_ENOMEM;
    if (!fill_certificate(tls->self_certificate, tls->self_key, names))
        return wsr_tls_complain(why, cap, "no certificate can be made for \"%s\"", tls->config.self_signed);
    return WSR_OK;
}
