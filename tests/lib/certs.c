/*
 * tests/lib/certs.c - see certs.h.
 */
#include "lib/certs.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DAY 86400L

struct certs certs;

struct cert {
    X509 *certificate;
    EVP_PKEY *key;
};

static void need(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "certs: %s\n", what);
    abort();
}

static void extend(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    need(extension != NULL && X509_add_ext(certificate, extension, -1) == 1, value);
    X509_EXTENSION_free(extension);
}

/* issuer NULL: by itself. names NULL: those of an authority. Times in seconds from now. */
static struct cert make(const struct cert *issuer, const char *subject, const char *names, long from, long to)
{
    static long serial = 1;
    struct cert cert = {X509_new(), EVP_EC_gen("P-256")};
    X509 *x = cert.certificate;
    need(x != NULL && cert.key != NULL, "no memory");
    X509_set_version(x, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(x), from);
    X509_gmtime_adj(X509_getm_notAfter(x), to);
    X509_set_pubkey(x, cert.key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const unsigned char *)subject, -1, -1, 0);
    X509 *by = issuer != NULL ? issuer->certificate : x;
    X509_set_issuer_name(x, X509_get_subject_name(by));
    if (names == NULL) {
        extend(x, by, NID_basic_constraints, "critical,CA:TRUE");
        extend(x, by, NID_key_usage, "critical,keyCertSign,cRLSign,digitalSignature");
    } else {
        extend(x, by, NID_basic_constraints, "critical,CA:FALSE");
        extend(x, by, NID_key_usage, "critical,digitalSignature");
        if (names[0] != '\0')
            extend(x, by, NID_subject_alt_name, names);
    }
    extend(x, by, NID_subject_key_identifier, "hash");
    need(X509_sign(x, issuer != NULL ? issuer->key : cert.key, EVP_sha256()) != 0, "cannot sign");
    return cert;
}

static void drop(struct cert *cert)
{
    X509_free(cert->certificate);
    EVP_PKEY_free(cert->key);
}

static void write_pem(char path[160], const char *folder, const char *name, const struct cert *cert, const struct cert *between, bool with_key)
{
    snprintf(path, 160, "%s/%s.pem", folder, name);
    FILE *file = fopen(path, "w");
    need(file != NULL, path);
    if (cert->certificate != NULL)
        need(PEM_write_X509(file, cert->certificate) == 1, path);
    if (between != NULL)
        need(PEM_write_X509(file, between->certificate) == 1, path);
    if (with_key)
        need(PEM_write_PrivateKey(file, cert->key, NULL, NULL, 0, NULL, NULL) == 1, path);
    need(fclose(file) == 0, path);
}

/* Makes one by `issuer`, writes it and forgets it. */
static void issue(char path[160], const char *folder, const char *name, const struct cert *issuer, const struct cert *between, const char *subject,
                  const char *names, long from, long to)
{
    struct cert cert = make(issuer, subject, names, from, to);
    write_pem(path, folder, name, &cert, between, true);
    drop(&cert);
}

void certs_make(void)
{
    static const char names[] = "DNS:localhost,DNS:*.wild.test,IP:127.0.0.1,IP:::1";
    const char *tmp = getenv("TMPDIR");
    snprintf(certs.folder, sizeof certs.folder, "%s/wsring-certs-XXXXXX", tmp != NULL && strlen(tmp) < 80 ? tmp : "/tmp");
    need(mkdtemp(certs.folder) != NULL, certs.folder);
    const char *folder = certs.folder;
    struct cert ca = make(NULL, "wsring test root", NULL, -DAY, 365 * DAY);
    struct cert other = make(NULL, "another root", NULL, -DAY, 365 * DAY);
    struct cert between = make(&ca, "wsring test authority", NULL, -DAY, 365 * DAY);
    write_pem(certs.ca, folder, "ca", &ca, NULL, false);
    write_pem(certs.other_ca, folder, "other-ca", &other, NULL, false);
    issue(certs.server, folder, "server", &between, &between, "server", names, -DAY, 30 * DAY);
    issue(certs.server2, folder, "server2", &between, &between, "server 2", names, -DAY, 30 * DAY);
    issue(certs.expired, folder, "expired", &ca, NULL, "expired", names, -30 * DAY, -DAY);
    issue(certs.early, folder, "early", &ca, NULL, "early", names, DAY, 30 * DAY);
    issue(certs.wrong, folder, "wrong", &ca, NULL, "wrong", "DNS:elsewhere.test,IP:192.0.2.1", -DAY, 30 * DAY);
    issue(certs.cn_only, folder, "cn-only", &ca, NULL, "localhost", "", -DAY, 30 * DAY);
    issue(certs.self, folder, "self", NULL, NULL, "self", names, -DAY, 30 * DAY);
    issue(certs.untrusted, folder, "untrusted", &other, NULL, "untrusted", names, -DAY, 30 * DAY);
    issue(certs.client, folder, "client", &ca, NULL, "client", "DNS:client.test", -DAY, 30 * DAY);
    struct cert bare = {NULL, EVP_EC_gen("P-256")};
    write_pem(certs.key_only, folder, "key-only", &bare, NULL, true);
    drop(&bare);
    drop(&between);
    drop(&other);
    drop(&ca);
}

void certs_copy(const char *from, const char *to)
{
    char room[16384], aside[200];
    FILE *file = fopen(from, "r");
    need(file != NULL, from);
    const size_t n = fread(room, 1, sizeof room, file);
    fclose(file);
    snprintf(aside, sizeof aside, "%s.new", to);
    file = fopen(aside, "w");
    need(file != NULL && fwrite(room, 1, n, file) == n && fclose(file) == 0 && rename(aside, to) == 0, to);
}

void certs_remove(void)
{
    const char *const paths[] = {certs.ca, certs.other_ca, certs.server, certs.server2, certs.expired, certs.early, certs.wrong,
                                 certs.cn_only, certs.self, certs.untrusted, certs.client, certs.key_only};
    for (unsigned i = 0; i < sizeof paths / sizeof paths[0]; i++)
        unlink(paths[i]);
    rmdir(certs.folder);
}

int certs_set_up(void **state)
{
    (void)state;
    certs_make();
    return 0;
}

int certs_tear_down(void **state)
{
    (void)state;
    certs_remove();
    return 0;
}

wsr_tls_config certs_server(void)
{
    return (wsr_tls_config){.size = sizeof(wsr_tls_config), .role = WSR_SERVER, .certificate = certs.server};
}

wsr_tls_config certs_client(void)
{
    return (wsr_tls_config){.size = sizeof(wsr_tls_config), .role = WSR_CLIENT, .trust = certs.ca};
}

wsr_tls *certs_open(const wsr_tls_config *config)
{
    wsr_tls *tls = NULL;
    char why[256];
    need(wsr_tls_open(&tls, config, why, sizeof why) == WSR_OK, why);
    return tls;
}
