/*
 * wsring/close.h - close codes: one table of what each means, when it appears, what to do about it (RFC 6455 section
 * 7.4, IANA "WebSocket Close Code Number Registry"), and the record of why a connection ended.
 *
 * Look-ups are pure: no allocation, any thread, static storage.
 */
#ifndef WSRING_CLOSE_H
#define WSRING_CLOSE_H

#include <wsring/types.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    WSR_CLOSE_NORMAL = 1000,
    WSR_CLOSE_GOING_AWAY = 1001,
    WSR_CLOSE_PROTOCOL_ERROR = 1002,
    WSR_CLOSE_UNSUPPORTED_DATA = 1003,
    WSR_CLOSE_NO_STATUS = 1005, /* local only: the peer's Close carried no code */
    WSR_CLOSE_ABNORMAL = 1006,  /* local only: the connection ended without a Close */
    WSR_CLOSE_INVALID_PAYLOAD = 1007,
    WSR_CLOSE_POLICY_VIOLATION = 1008,
    WSR_CLOSE_MESSAGE_TOO_BIG = 1009,
    WSR_CLOSE_MANDATORY_EXTENSION = 1010,
    WSR_CLOSE_INTERNAL_ERROR = 1011,
    WSR_CLOSE_SERVICE_RESTART = 1012,
    WSR_CLOSE_TRY_AGAIN_LATER = 1013,
    WSR_CLOSE_BAD_GATEWAY = 1014,
    WSR_CLOSE_TLS_HANDSHAKE = 1015 /* local only */
};

/* What a client should do about reconnecting, in one word; the policy engine refines it. */
typedef enum wsr_retry {
    WSR_RETRY_NEVER,   /* the code ends the matter, or shows a bug that a new connection would repeat */
    WSR_RETRY_BACKOFF, /* come back, first delay random, exponential backoff after */
    WSR_RETRY_LATER,   /* come back, but no sooner than a floor of seconds */
    WSR_RETRY_LIMITED, /* come back a few times, then give up */
    WSR_RETRY_ONCE,    /* once, after the application has renewed what was refused (credentials) */
    WSR_RETRY_ASK      /* no, unless the application says yes: the code is its own */
} wsr_retry;

/* A row of the table. A row may stand for a range of codes. All strings are English, static, without trailing space. */
typedef struct wsr_close_info {
    uint16_t first, last; /* the codes this row is for; equal for a single code */
    const char *name;     /* the registry's: "Normal Closure" */
    const char *meaning;  /* what it says, one or two sentences */
    const char *appears;  /* when one sees it */
    const char *fix;      /* what to do about it */
    const char *use;      /* when an application should send it itself; "Never" and why, if it may not */
    const char *source;   /* "RFC 6455 section 7.4.1" or the registry entry */
    const char *retry_text; /* the default reconnect policy, in words */
    wsr_retry retry;
    bool may_send;        /* an application may put it on the wire (1010: a client only) */
    bool may_receive;     /* a peer may put it on the wire; otherwise it is a protocol error, 1002 */
    bool local_only;      /* never on the wire: reported by an end to its own application */
    bool client_only;     /* only a client may send it */
} wsr_close_info;

/* The row for code: never NULL, for each of the 65,536 values is in one row. */
WSR_API const wsr_close_info *wsr_close_lookup(uint16_t code);

/* Row i of the table in rising order of code, NULL past its end. */
WSR_API const wsr_close_info *wsr_close_row(unsigned i);

/* May this role send code in a Close frame? */
WSR_API bool wsr_close_may_send(uint16_t code, wsr_role role);

/* May a Close frame from a peer of this role carry code? */
WSR_API bool wsr_close_may_receive(uint16_t code, wsr_role peer);

/* Which end began the closing. */
typedef enum wsr_close_by {
    WSR_BY_NOBODY,    /* the transport ended first: reset, end of stream, or a deadline */
    WSR_BY_LOCAL,     /* this end: the application, or a failure this end found */
    WSR_BY_PEER,
    WSR_BY_BOTH       /* both Close frames crossed */
} wsr_close_by;

struct wsr_response; /* event.h */

#define WSR_CLOSE_REASON_MAX 123u /* bytes: a control frame's 125 less the code's two */

/*
 * Why a connection ended, and what had passed: the data slice of a CLOSED event points to one of these. Owned by the
 * engine or endpoint; valid as long as that event's batch.
 */
typedef struct wsr_close_record {
    wsr_close_by by;
    bool clean;             /* both Close frames passed, nothing was dropped to make way for ours, and the stream then ended
                               in order, neither reset nor cut at a deadline (RFC 6455 section 7.1.4) */
    uint16_t code;          /* what an application shows: the received code, else the sent one, else 1005 or 1006 */
    uint16_t code_sent;     /* 0: this end sent no Close; 1005: it sent one without a code */
    uint16_t code_received; /* 0: none came; 1005: one without a code came */
    int32_t cause;          /* a wsr_error: what this end saw, WSR_OK for an ordinary close */
    int32_t sys_errno;      /* with WSR_ESYS, WSR_ERESET and WSR_ECONNECT; else 0 */
    uint16_t http_status;   /* of a handshake that failed: what was sent (server) or received (client); else 0 */
    uint8_t reason_len;     /* bytes */
    char reason[WSR_CLOSE_REASON_MAX + 1]; /* received if a Close was received, else sent; UTF-8, NUL-terminated */
    const char *local_file; /* who called wsr_close or wsr_abort here (static storage), NULL if nobody did */
    int local_line;
    uint64_t messages_in, messages_out; /* data messages delivered to the application; accepted from it */
    uint64_t bytes_in, bytes_out;       /* bytes of their payloads */
    uint64_t frames_in, frames_out;     /* frames of every kind */
    uint64_t messages_undelivered;      /* of messages_out: dropped here, no byte of them given to the transport */
    uint64_t bytes_undelivered;         /* bytes of their payloads, as they would have been sent: compressed or not */
    uint64_t messages_unconfirmed;      /* of messages_out: given to the transport in whole or in part, and the end came
                                           before the transport took all of it; the peer may have seen them or not */
    uint64_t lifetime_ns;               /* from the transport's opening to its end */
    uint64_t round_trip_ns;             /* as last measured; 0: never */
    const char *detail;     /* what the resolver, the proxy or TLS said, one line ("certificate has expired"); NULL: nothing.
                               Valid as the record is */
    uint8_t tls_alert;      /* the fatal alert that was sent or received (RFC 8446 section 6); 0: none */
    bool tls_alert_received;
    const struct wsr_response *answer; /* client: the refusal that http_status is of; NULL: none, or no memory for it */
} wsr_close_record;

#ifdef __cplusplus
}
#endif

#endif
