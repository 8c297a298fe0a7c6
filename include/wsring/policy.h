/*
 * wsring/policy.h - should a client come back after this end, when, and where: the reconnect policy, usable alone by any
 * program that has a client of its own.
 *
 * It is pure: no clock, no memory of its own, no randomness, no input or output. The time and the random numbers are
 * arguments, so a test can run years in a moment and get the same answers. A policy belongs to one thread at a time.
 *
 *     wsr_policy_init(&policy, &config);                       connect to endpoint 0, then:
 *     wsr_policy_opened(&policy, now_ns);                      the handshake succeeded
 *     d = wsr_policy_lost(&policy, now_ns, cause, 0);          it ended, or never came up
 *     WSR_VERDICT_RETRY: wait d.delay_ns, then wsr_bucket_take(&bucket_of_that_host, ...) more, then connect to d.endpoint
 *
 * Where a specification speaks it is named below; the rest is wsring's own judgement, every row of which can be overridden.
 * All times are nanoseconds; now_ns is any clock that does not go back (CLOCK_MONOTONIC), the same in every call.
 */
#ifndef WSRING_POLICY_H
#define WSRING_POLICY_H

#include <wsring/close.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- Causes --------------------------------------------------------------------------------------------------------------- */

/* Why there is no connection. Values may change between versions of the library; the names (wsr_cause_lookup) do not. */
typedef enum wsr_cause {
    /* this end's doing */
    WSR_CAUSE_LOCAL_CLOSE, /* the application closed or aborted, with any code */
    WSR_CAUSE_WE_FAILED,   /* this end failed it: it sent 1002, 1007, 1009 ..., or had no memory */
    /* the peer's Close said */
    WSR_CAUSE_1000,
    WSR_CAUSE_1001,
    WSR_CAUSE_1002,
    WSR_CAUSE_1003,
    WSR_CAUSE_1005,
    WSR_CAUSE_1007,
    WSR_CAUSE_1008,
    WSR_CAUSE_1009,
    WSR_CAUSE_1010,
    WSR_CAUSE_1011,
    WSR_CAUSE_1012,
    WSR_CAUSE_1013,
    WSR_CAUSE_1014,
    WSR_CAUSE_3000,
    WSR_CAUSE_3003,
    WSR_CAUSE_3008,
    WSR_CAUSE_3XXX, /* any other of 3000-3999 */
    WSR_CAUSE_4XXX,
    /* an open connection ended without a Close */
    WSR_CAUSE_ABNORMAL,     /* 1006: end of stream */
    WSR_CAUSE_RESET,        /* the transport failed */
    WSR_CAUSE_PING_TIMEOUT, /* the peer did not answer a ping, or was silent for the idle limit */
    /* it never opened: the transport */
    WSR_CAUSE_TLS_CERTIFICATE, /* 1015: the certificate, or the TLS handshake for another reason than time, was refused */
    WSR_CAUSE_TLS_TIMEOUT,
    WSR_CAUSE_DNS,
    WSR_CAUSE_REFUSED, /* or no route: the connection could not be made */
    WSR_CAUSE_CONNECT_TIMEOUT,
    WSR_CAUSE_HANDSHAKE_TIMEOUT,
    WSR_CAUSE_EOF_BEFORE_ANSWER, /* end of stream or a reset before the server's answer was complete */
    WSR_CAUSE_PROXY,
    /* it never opened: the server's answer */
    WSR_CAUSE_HTTP_3XX,
    WSR_CAUSE_HTTP_400,
    WSR_CAUSE_HTTP_401,
    WSR_CAUSE_HTTP_403,
    WSR_CAUSE_HTTP_404,
    WSR_CAUSE_HTTP_407,
    WSR_CAUSE_HTTP_410,
    WSR_CAUSE_HTTP_426,
    WSR_CAUSE_HTTP_429,
    WSR_CAUSE_HTTP_4XX, /* any other of 400-499 */
    WSR_CAUSE_HTTP_500,
    WSR_CAUSE_HTTP_502,
    WSR_CAUSE_HTTP_503,
    WSR_CAUSE_HTTP_504,
    WSR_CAUSE_HTTP_5XX,      /* any other of 500-599 */
    WSR_CAUSE_INVALID_ANSWER /* a 101 that does not answer what was asked; 2xx; no HTTP at all */
} wsr_cause;

#define WSR_CAUSES 47u /* how many */

/* The delays after the first one of an outage; n counts the attempts made in it so far, previous is the delay before. */
typedef enum wsr_jitter {
    WSR_JITTER_NONE,        /* 0 */
    WSR_JITTER_FULL,        /* floor + U(0, min(cap, base * 2^n)) */
    WSR_JITTER_DECORRELATED /* min(cap, U(low, 3 * max(previous, low))), low = max(base, floor) */
} wsr_jitter;

/* U(a, b) above and below is uniform over every whole nanosecond from a to b, both included. */

/* What to do about a cause: a row of the table. Compare wsr_policy_default. */
typedef struct wsr_policy_row {
    wsr_retry retry;
    wsr_jitter jitter;
    bool rotate;           /* to the next endpoint, if there are several */
    bool follow;           /* the verdict is FOLLOW: to where the answer's Location says */
    bool retry_after;      /* max(Retry-After, delay), and U(0, 20 %) of it on top */
    uint8_t cap_factor;    /* times the configured cap, at most 16; 0 is 1 */
    uint16_t attempts_max; /* LIMITED and ONCE: how many of its kind in an outage; 0 is 5 and 1 */
    uint64_t floor_ns;     /* at the same endpoint no sooner than this; another one may be tried meanwhile */
    uint64_t first_min_ns, first_max_ns; /* an outage's first delay is U(min, max); max 0: as the later ones */
    uint64_t other_max_ns; /* ... and U(0, this) if it goes to another endpoint; 0: no difference */
    uint64_t stable_max_ns; /* ... and U(0, this) if the connection had been stable; 0: no difference */
} wsr_policy_row;

/* One cause. All strings are English and static. */
typedef struct wsr_cause_info {
    const char *name;            /* for logs and programs: "1001", "http_503", "ping_timeout" */
    const char *text;            /* for people: "the peer is going away" */
    const wsr_close_info *close; /* the row of the table of close codes, for causes that are one; else NULL */
    uint16_t http_status;        /* for causes that are one status; else 0 */
} wsr_cause_info;

typedef enum wsr_profile {
    WSR_PROFILE_DEFAULT,
    WSR_PROFILE_PERSISTENT, /* for feeds that must stay up: a peer's 1000 and 1005 are as its 1001 */
    WSR_PROFILE_FAST        /* after a stable connection broke (1006, reset, ping timeout): U(0, 100 ms), once */
} wsr_profile;

#define WSR_PROFILES 3u

/* Names and origin of a cause; NULL for a value that is none. Static storage, any thread. */
WSR_API const wsr_cause_info *wsr_cause_lookup(wsr_cause cause);

/* The row of a profile for a cause; NULL for a value that is none. Static storage, any thread: copy it to change it. */
WSR_API const wsr_policy_row *wsr_policy_default(wsr_profile profile, wsr_cause cause);

/* The cause that a peer's close code is. 1006 and 1015 count; what may never be received is WE_FAILED. Any thread. */
WSR_API wsr_cause wsr_cause_of_code(uint16_t code);

/* The cause that an HTTP status other than a good 101 is. Any thread. */
WSR_API wsr_cause wsr_cause_of_status(uint16_t status);

/*
 * The cause that a client's close record tells. opened: the connection had opened (there was an OPEN event), which tells
 * ABNORMAL and RESET from EOF_BEFORE_ANSWER. If both ends closed at once, this end's closing counts. Any thread.
 */
WSR_API wsr_cause wsr_cause_of_record(const wsr_close_record *record, bool opened);

/*
 * The value of a Retry-After header (RFC 9110 section 10.2.3): seconds, or a date in any of the three forms of section
 * 5.6.7 (IMF-fixdate, RFC 850, asctime). unix_s: the wall clock, seconds since 1970 in UTC. *delay_ns: the time from now,
 * 0 for a date that has passed, UINT64_MAX for one that is too far to say (the policy caps it). Returns 0; WSR_EINVAL if
 * it is neither (*delay_ns is then 0: as if there had been none). Space and tab around it are ignored. Any thread.
 */
WSR_API WSR_MUST_USE int wsr_retry_after(wsr_slice value, int64_t unix_s, uint64_t *delay_ns);

/* --- The policy ----------------------------------------------------------------------------------------------------------- */

#define WSR_POLICY_ENDPOINTS_MAX 16u

/* The defaults, nanoseconds. */
#define WSR_POLICY_BASE_NS UINT64_C(250000000)
#define WSR_POLICY_CAP_NS UINT64_C(30000000000)
#define WSR_POLICY_STABLE_NS UINT64_C(60000000000)
#define WSR_POLICY_RETRY_AFTER_NS UINT64_C(3600000000000)

typedef struct wsr_policy_override {
    wsr_cause cause;
    wsr_policy_row row;
} wsr_policy_override;

/* Zero means the default in brackets. Begin with WSR_POLICY_CONFIG_INIT. */
typedef struct wsr_policy_config {
    size_t size;
    uint64_t (*random)(void *context); /* 64 evenly distributed bits; required */
    void *random_context;
    wsr_profile profile;               /* [DEFAULT] */
    unsigned endpoints;                /* how many there are to choose from, at most 16 [1] */
    uint32_t attempts_max;             /* in one outage [no limit] */
    uint64_t elapsed_max_ns;           /* from an outage's first loss to the beginning of its last attempt [no limit] */
    uint64_t base_ns, cap_ns;          /* [250 ms, 30 s] */
    uint64_t stable_ns;                /* a connection that was open this long ends the outage [60 s] */
    uint64_t retry_after_max_ns;       /* what a server may ask for at most [1 h] */
    const wsr_policy_override *overrides; /* not copied: must outlive the policy. The first one for a cause counts. [NULL] */
    size_t overrides_n;
} wsr_policy_config;

#define WSR_POLICY_CONFIG_INIT WSR_SIZED(wsr_policy_config)

/* The caller's memory; what is in it is the policy's. Copying it copies the policy. */
typedef struct wsr_policy {
    wsr_policy_config config;
    uint64_t opened_ns;    /* if open */
    uint64_t outage_ns;    /* when the outage began, if lost_n > 0 */
    uint64_t previous_ns;  /* the last delay */
    uint32_t attempts_n;   /* granted in this outage */
    uint32_t limited_n, once_n, follow_n; /* of them, by kind of row */
    uint32_t lost_n;       /* in this outage */
    uint16_t endpoint;     /* the one in use */
    uint8_t cause;         /* the latest */
    bool open, asked, stable;
    uint64_t not_before_ns[WSR_POLICY_ENDPOINTS_MAX]; /* an endpoint that asked to be left alone, until when; 0: none did */
} wsr_policy;

typedef enum wsr_verdict {
    WSR_VERDICT_STOP,   /* do not come back: tell a person, or be content */
    WSR_VERDICT_RETRY,  /* connect after delay_ns */
    WSR_VERDICT_RENEW,  /* get fresh credentials; only then connect (after delay_ns) */
    WSR_VERDICT_FOLLOW, /* connect to where the answer's Location says (after delay_ns); refuse to leave wss for ws */
    WSR_VERDICT_ASK     /* do not come back, unless the application knows better and says wsr_policy_allow */
} wsr_verdict;

typedef struct wsr_decision {
    wsr_verdict verdict;
    wsr_cause cause;
    bool exhausted;     /* STOP by a limit: the cause alone would have allowed more */
    unsigned endpoint;  /* 0 to endpoints - 1; that of the lost connection unless the verdict is RETRY */
    uint32_t attempt;   /* 1 for an outage's first; with STOP and ASK, how many there were */
    uint64_t delay_ns;  /* from now_ns */
    const char *why;    /* one line for a person: the cause, or the limit that ended it; static */
} wsr_decision;

/*
 * Makes a policy at rest, for endpoint 0. Returns 0; WSR_ECONFIG (no random, too many endpoints, a cap below the base, a
 * time over ten years, an unknown profile or cause, a row whose first_min_ns is over its first_max_ns or whose cap_factor is
 * over 16, a newer header's field).
 */
WSR_API WSR_MUST_USE int wsr_policy_init(wsr_policy *policy, const wsr_policy_config *config);

/* The connection is open, its handshake done. Nothing is forgiven yet: only a connection that then stays open for stable_ns
   ends the outage (never the mere opening, or a server that opens and drops would be hammered for ever). */
WSR_API void wsr_policy_opened(wsr_policy *policy, uint64_t now_ns);

/* Has the connection been open for stable_ns? */
WSR_API bool wsr_policy_is_stable(const wsr_policy *policy, uint64_t now_ns);

/*
 * There is no connection, or no longer: what now? cause: the latest, which chooses the row. retry_after_ns: what the answer
 * asked for (wsr_retry_after), 0 if nothing. The attempt that a RETRY, RENEW or FOLLOW grants is counted with this call.
 */
WSR_API WSR_MUST_USE wsr_decision wsr_policy_lost(wsr_policy *policy, uint64_t now_ns, wsr_cause cause, uint64_t retry_after_ns);

/* The same, with the cause that a CLOSED event's record tells. */
WSR_API WSR_MUST_USE wsr_decision wsr_policy_lost_record(wsr_policy *policy, uint64_t now_ns, const wsr_close_record *record,
                                                         uint64_t retry_after_ns);

/* The application says yes to an ASK: the same row, as if it said BACKOFF. STOP if the last verdict was not ASK. */
WSR_API WSR_MUST_USE wsr_decision wsr_policy_allow(wsr_policy *policy, uint64_t now_ns);

/* --- A token bucket ------------------------------------------------------------------------------------------------------- */

/*
 * So many attempts in an interval, with a burst: one bucket for each host, shared by all the policies of a process that
 * connect there, on one thread. An empty bucket delays; it never drops, and it is fair: first come, first served. The
 * arithmetic is exact: after the burst, n attempts take n intervals over attempts, without drift.
 */
typedef struct wsr_bucket {
    uint64_t interval_ns;
    uint32_t attempts, burst;
    uint64_t full_ns;       /* when the bucket will be full again: whole nanoseconds */
    uint64_t full_fraction; /* ... and further 1/attempts of one */
} wsr_bucket;

/* A full bucket: `attempts` each interval_ns (0: a second), `burst` at once (0: one). Returns 0; WSR_ECONFIG (attempts is 0,
   or burst intervals are over ten years). */
WSR_API WSR_MUST_USE int wsr_bucket_init(wsr_bucket *bucket, uint32_t attempts, uint64_t interval_ns, uint32_t burst);

/* Takes a token when an attempt is due: how many nanoseconds it still has to wait, 0 for none. The token is taken in any
   case: wait, then connect, without asking again. now_ns must not go back. */
WSR_API WSR_MUST_USE uint64_t wsr_bucket_take(wsr_bucket *bucket, uint64_t now_ns);

#ifdef __cplusplus
}
#endif

#endif
