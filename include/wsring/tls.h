/*
 * wsring/tls.h - TLS 1.2 and 1.3 (RFC 8446, RFC 5246) for connections of either role: certificates, whom to trust, what to
 * resume. Made once, used by any number of listeners and connects of any engine.
 *
 * A wsr_tls is immutable but for wsr_tls_reload, and counted: whoever uses one (a listener, a connection, the application)
 * keeps a hold on it. Any thread.
 */
#ifndef WSRING_TLS_H
#define WSRING_TLS_H

#include <wsring/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct wsr_tls wsr_tls;

/* Zero means the default in brackets. Begin with WSR_TLS_CONFIG_INIT. Strings are copied; files are read at once. */
typedef struct wsr_tls_config {
    size_t size;
    wsr_role role;             /* WSR_SERVER or WSR_CLIENT */
    const char *certificate;   /* PEM file: this end's certificate, then those between it and a root; a server needs one, or
                                  self_signed. A client's is shown to whoever asks for it at the URLs connected to, and nowhere that
                                  they redirect to */
    const char *key;           /* PEM file: its private key [NULL: in the certificate's file] */
    const char *self_signed;   /* server, to try things out: make a key and a certificate, in memory, for these names and
                                  addresses: "localhost, 127.0.0.1" [NULL] */
    /*
     * PEM file or folder of the roots to trust. A client: [NULL: the system's]. A server: ask clients for a certificate, and
     * refuse those without a good one (mutual TLS) [NULL: do not ask].
     */
    const char *trust;
    bool verify_none;          /* client: DANGEROUS, believe any certificate: anybody in between can read and change everything */
    bool tls13_only;           /* [1.2 and 1.3] */
    const char *ciphers;       /* of 1.2, as OpenSSL writes them [NULL: those with forward secrecy and AEAD] */
    const char *ciphersuites;  /* of 1.3; "": 1.2 only [NULL: OpenSSL's] */
    const char *alpn;          /* protocols, best first, comma-separated [NULL: "http/1.1"] */
    bool no_resumption;        /* server: give no tickets; client: keep none */
    const char *keylog;        /* append the session secrets to this file (NSS key log): who has it can decrypt what is recorded
                                  [NULL: never] */
} wsr_tls_config;

#define WSR_TLS_CONFIG_INIT WSR_SIZED(wsr_tls_config)

/*
 * Returns 0; WSR_ECONFIG; WSR_ETLS (a file cannot be read, or its content is not what it should be: what is wrong, in one line,
 * in `why` if that is not NULL, NUL-terminated in cap bytes; 256 are enough); WSR_ENOMEM. *out is written only on success.
 */
WSR_API WSR_MUST_USE int wsr_tls_open(wsr_tls **out, const wsr_tls_config *config, char *why, size_t cap);

/* One hold more; one hold back, with the last of which it is freed. NULL is fine. */
WSR_API wsr_tls *wsr_tls_hold(wsr_tls *tls);
WSR_API void wsr_tls_release(wsr_tls *tls);

/*
 * Reads certificate, key and trust again from their files. Handshakes from then on use the new ones; connections live on.
 * On an error, as wsr_tls_open's, everything stays as it was.
 */
WSR_API WSR_MUST_USE int wsr_tls_reload(wsr_tls *tls, char *why, size_t cap);

/* What a connection agreed on, and with whom. Strings that are pointed to are static or valid as long as the connection. */
struct wsr_tls_info {
    const char *version; /* "TLSv1.3" */
    const char *cipher;  /* "TLS_AES_128_GCM_SHA256" */
    const char *alpn;    /* "" if none was agreed on */
    const char *server_name; /* as the client asked for; "" if it did not */
    bool resumed;
    /* The certificate that the peer has shown, now or when the session that is resumed was made; "" and zero if it has shown none. */
    char peer_subject[256];  /* whose, as RFC 4514 writes it: "CN=desk 7,O=Example"; cut off where it is longer */
    uint8_t peer_sha256[32]; /* of the certificate as it came (DER): what it is known by, or pinned to */
};
typedef struct wsr_tls_info wsr_tls_info;

#ifdef __cplusplus
}
#endif

#endif
