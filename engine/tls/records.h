/*
 * tls/records.h - TLS 1.3 once the handshake is done: records sealed from the sender's memory into a chunk and opened where they
 * lie (RFC 8446 section 5), alerts, and new keys (section 4.6.3).
 *
 * OpenSSL shakes hands; then its keys are taken over here, and it is done with (session.c). That saves four copies of every byte,
 * most of a microsecond a record and some 20 KiB a connection. Not here: TLS 1.2, which stays OpenSSL's.
 */
#ifndef WSR_TLS_RECORDS_H
#define WSR_TLS_RECORDS_H

#include "base/pool.h"
#include "tls/aead.h"

#define WSR_RECORD_HEAD 5u
#define WSR_RECORD_PLAIN_MAX 16384u
#define WSR_RECORD_GAIN (WSR_RECORD_HEAD + 1 + WSR_AEAD_TAG) /* a record is so much longer than its content */
#define WSR_SECRET_MAX 48u

/* One direction. */
struct wsr_record_way {
    struct wsr_aead aead;
    uint8_t iv[WSR_AEAD_NONCE];
    uint8_t secret[WSR_SECRET_MAX]; /* from which the next key comes */
    uint64_t number;                /* of the next record under this key */
};

struct wsr_records {
    struct wsr_record_way in, out;
    struct wsr_pool *pool;
    struct wsr_chunk *partial;  /* the record under way, from its header on, as far as it came; NULL: none */
    uint8_t kind;               /* wsr_aead_kind */
    bool client;
    bool owes_update;           /* the peer asked for new keys of ours: before the next content */
    uint8_t alert;              /* of a failure: what the peer is told; 0: nothing is */
    uint8_t alert_received;     /* a fatal one; 0: none */
    unsigned empty;             /* records without content in a row */
    uint8_t message[4];         /* header of a handshake message under way */
    uint8_t message_len;        /* bytes of it present */
    uint32_t message_left;      /* bytes of its body still to come */
};

/* What a step of reading found. */
enum wsr_record_found {
    WSR_RECORD_CONTENT, /* *plain is the next of it */
    WSR_RECORD_NOTHING, /* all was taken, and there was no more in it */
    WSR_RECORD_END,     /* close_notify */
    WSR_RECORD_WRONG    /* alert or alert_received says how; or, if neither does, no memory */
};

/* Secrets of client and server (CLIENT_TRAFFIC_SECRET_0 ...), and how many records each direction has had under them. */
struct wsr_record_secrets {
    uint8_t client[WSR_SECRET_MAX], server[WSR_SECRET_MAX];
    uint64_t in_number, out_number;
};

/* In place. False: no memory. */
WSR_MUST_USE bool wsr_records_init(struct wsr_records *records, struct wsr_pool *pool, enum wsr_aead_kind kind, bool client,
                                   const struct wsr_record_secrets *secrets);
void wsr_records_fini(struct wsr_records *records);

/*
 * Takes the next record out of *in, which it moves along. Its content: in *plain, where the record lay; or, if its beginning came
 * before, in a chunk, *carried, that is the caller's from now on (else NULL).
 */
enum wsr_record_found wsr_records_next(struct wsr_records *records, wsr_span *in, wsr_span *plain, struct wsr_chunk **carried);

/* Bytes that `plain_bytes` of content will be at most, in so many calls of wsr_records_put. */
size_t wsr_records_bytes(size_t plain_bytes, unsigned calls);

/* Seals content into chunk, which has the room (wsr_records_bytes). False: it failed. */
WSR_MUST_USE bool wsr_records_put(struct wsr_records *records, struct wsr_chunk *chunk, wsr_slice content);

/* Likewise an alert. */
#define WSR_RECORD_ALERT_BYTES 64u
WSR_MUST_USE bool wsr_records_alert(struct wsr_records *records, struct wsr_chunk *chunk, bool fatal, uint8_t alert);

#endif
