/*
 * ring/resolve.h - names to addresses by getaddrinfo (so by /etc/hosts, nsswitch and the system's resolver), which blocks: on
 * threads of its own, made on demand, that are gone when nobody asks.
 *
 * Ask, poll the descriptor for readability, take the answers. The asking side is one thread's; it never waits, not even in
 * wsr_resolver_close: a thread that hangs in getaddrinfo then owns what it needs, and frees it when it comes back.
 * Like sys.h this is a boundary: the simulator links a resolver of its own.
 */
#ifndef WSR_RING_RESOLVE_H
#define WSR_RING_RESOLVE_H

#include "ring/sys.h"

#define WSR_RESOLVED_MAX 16u          /* addresses taken of an answer */
#define WSR_RESOLVER_THREADS_MAX 4u   /* look-ups under way at once */
#define WSR_RESOLVER_WAITING_MAX 65536u /* questions that wait for one of them */

struct wsr_resolver;

union wsr_ip_address {
    struct sockaddr any;
    struct sockaddr_in in4;
    struct sockaddr_in6 in6;
};

struct wsr_resolved {
    uint64_t tag;      /* as it was asked with */
    int error;         /* 0; or WSR_ERESOLVE, and text says why; or WSR_ENOMEM */
    const char *text;  /* static */
    unsigned n;        /* addresses, in the order of getaddrinfo's (RFC 6724), none twice; without error at least 1 */
    union wsr_ip_address addresses[WSR_RESOLVED_MAX]; /* with the port asked for */
};

/* 0, WSR_ENOMEM, or WSR_ESYS (errno). */
WSR_MUST_USE int wsr_resolver_open(struct wsr_resolver **out);

/* Forgets every question. Answers under way are dropped when they come. NULL is fine. */
void wsr_resolver_close(struct wsr_resolver *resolver);

/* Readable while there are answers to take. */
int wsr_resolver_fd(const struct wsr_resolver *resolver);

/*
 * Asks for a name's addresses (NUL-terminated, at most 254 bytes). One question a tag at a time; of those for the same name some
 * may get one answer. Returns 0, WSR_EINVAL (host is longer), WSR_ENOMEM, WSR_ELIMIT (too many wait), or WSR_ESYS (errno: no
 * thread could be made).
 */
WSR_MUST_USE int wsr_resolver_ask(struct wsr_resolver *resolver, const char *host, uint16_t port, uint64_t tag);

/* The question of this tag, if there is one, is not asked any more: no answer will come. */
void wsr_resolver_forget(struct wsr_resolver *resolver, uint64_t tag);

/* Takes an answer. False: there is none. */
bool wsr_resolver_next(struct wsr_resolver *resolver, struct wsr_resolved *out);

#endif
