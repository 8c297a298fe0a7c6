/*
 * tests/lib/certs.h - certificates for tests, made when they are needed: good, expired, for somebody else, by nobody known.
 * Each file has the certificate, those between it and its root, and the private key. No cmocka here: what cannot be made aborts.
 */
#ifndef TESTS_LIB_CERTS_H
#define TESTS_LIB_CERTS_H

#include <stdbool.h>
#include <wsring/tls.h>

/* Paths in a folder of its own under TMPDIR. */
struct certs {
    char folder[128];
    char ca[160], other_ca[160];  /* roots, without keys */
    char server[160];             /* by ca, for localhost, *.wild.test, 127.0.0.1 and ::1, through one in between */
    char server2[160];            /* likewise, another one */
    char expired[160];            /* by ca, since yesterday */
    char early[160];              /* by ca, from tomorrow on */
    char wrong[160];              /* by ca, for elsewhere.test */
    char cn_only[160];            /* by ca, localhost in its subject alone */
    char self[160];               /* by itself, for localhost */
    char untrusted[160];          /* by other_ca, for localhost */
    char client[160];             /* by ca, for a client */
    char key_only[160];           /* a key of nobody's */
};

/* Those of the program, from certs_make to certs_remove; set_up and tear_down are these, as fixtures of cmocka_run_group_tests. */
extern struct certs certs;
void certs_make(void);
void certs_remove(void);
int certs_set_up(void **state);
int certs_tear_down(void **state);

/* A server with certs.server; a client that trusts certs.ca. */
wsr_tls_config certs_server(void);
wsr_tls_config certs_client(void);

/* wsr_tls_open, which must succeed. */
wsr_tls *certs_open(const wsr_tls_config *config);

/* Copies a file over another one, as whoever renews a certificate does. */
void certs_copy(const char *from, const char *to);

#endif
