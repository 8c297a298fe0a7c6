/*
 * ring/resolve.c - see resolve.h. The simulator links its own in this one's place.
 *
 *     asking side: ask -> waiting -+-> a thread: getaddrinfo -> answered -> eventfd -> next
 *                                  \-> forget: off the list, or the thread that has it is told to drop it
 *
 * One lock, held for a few instructions at a time. What both sides share is counted, the asking side and each thread holding
 * it, and comes from malloc: an engine's allocator is for its own thread.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "ring/resolve.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* getaddrinfo, and the modules that nsswitch.conf names, keep their buffers on the stack; glibc's own take some tens of KiB. */
#define STACK_BYTES ((size_t)256 << 10)

#define HOST_MAX 254u

/* A question, and then its answer. */
struct job {
    struct job *next;
    uint16_t port;
    char host[HOST_MAX + 1];
    struct wsr_resolved resolved;
};

struct list {
    struct job *head, **last;
    unsigned n;
};

/* Where a thread sits. */
struct seat {
    bool taken;
    bool dropped; /* its question was forgotten */
    uint64_t tag; /* of its question, while it has one */
    bool busy;
};

struct wsr_resolver {
    pthread_mutex_t lock;
    unsigned holders; /* the asking side, and threads */
    unsigned threads;
    int fd;           /* -1 once the asking side has closed */
    struct list waiting, answered;
    struct seat seats[WSR_RESOLVER_THREADS_MAX];
};

/* ---- lists, under the lock ---- */

static void list_init(struct list *list)
{
    *list = (struct list){NULL, &list->head, 0};
}

static void list_append(struct list *list, struct job *job)
{
    job->next = NULL;
    *list->last = job;
    list->last = &job->next;
    list->n++;
}

static struct job *list_take(struct list *list, struct job **link)
{
    struct job *job = *link;
    if (job == NULL)
        return NULL;
    *link = job->next;
    if (*link == NULL)
        list->last = link;
    list->n--;
    return job;
}

static void list_free(struct list *list)
{
    struct job *job;
    while ((job = list_take(list, &list->head)) != NULL)
        free(job);
}

/* True if there was one. */
static bool list_drop(struct list *list, uint64_t tag)
{
    for (struct job **link = &list->head; *link != NULL; link = &(*link)->next) {
        if ((*link)->resolved.tag == tag) {
            free(list_take(list, link));
            return true;
        }
    }
    return false;
}

/* Under the lock, which is gone with it: one holder less, and with the last there is nothing left. */
static void let_go(struct wsr_resolver *resolver)
{
    const bool last = --resolver->holders == 0;
    pthread_mutex_unlock(&resolver->lock);
    if (!last)
        return;
    list_free(&resolver->waiting);
    list_free(&resolver->answered);
    pthread_mutex_destroy(&resolver->lock);
    free(resolver);
}

/* ---- a thread's side ---- */

static bool is_known(const struct wsr_resolved *resolved, const union wsr_ip_address *address)
{
    for (unsigned i = 0; i < resolved->n; i++) {
        /* every byte of both was set */
        if (memcmp(&resolved->addresses[i], address, sizeof *address) == 0) /* NOLINT(bugprone-suspicious-memory-comparison) */
            return true;
    }
    return false;
}

static void keep_addresses(struct wsr_resolved *resolved, const struct addrinfo *info, uint16_t port)
{
    for (; info != NULL && resolved->n < WSR_RESOLVED_MAX; info = info->ai_next) {
        union wsr_ip_address address;
        if ((info->ai_family != AF_INET && info->ai_family != AF_INET6) || info->ai_addrlen > sizeof address)
            continue;
        memset(&address, 0, sizeof address);
        memcpy(&address, info->ai_addr, info->ai_addrlen);
        address.in4.sin_port = htons(port); /* sin6_port is at the same place */
        if (!is_known(resolved, &address))
            resolved->addresses[resolved->n++] = address;
    }
}

/* Blocks for as long as the system's resolver likes. */
static void look_up(struct job *job)
{
    struct wsr_resolved *resolved = &job->resolved;
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *info = NULL;
    int error = getaddrinfo(job->host, NULL, &hints, &info);
    if (error == 0) {
        keep_addresses(resolved, info, job->port);
        freeaddrinfo(info);
    }
    if (resolved->n > 0)
        return;
    resolved->error = error == EAI_MEMORY ? WSR_ENOMEM : WSR_ERESOLVE;
    resolved->text = error == 0 ? "the name has no IPv4 and no IPv6 address" : gai_strerror(error);
}

static struct seat *take_seat(struct wsr_resolver *resolver)
{
    struct seat *seat = resolver->seats;
    while (seat->taken) /* there is one: threads counts them */
        seat++;
    seat->taken = true;
    return seat;
}

/* Those who wait to ask for the same name need not: a thousand clients that come back to one host ask once, or four times. */
static void answer_others(struct wsr_resolver *resolver, const struct job *job)
{
    struct job **link = &resolver->waiting.head;
    while (*link != NULL) {
        if (strcmp((*link)->host, job->host) != 0) {
            link = &(*link)->next;
            continue;
        }
        struct job *other = list_take(&resolver->waiting, link);
        const uint64_t tag = other->resolved.tag;
        other->resolved = job->resolved;
        other->resolved.tag = tag;
        for (unsigned i = 0; i < other->resolved.n; i++)
            other->resolved.addresses[i].in4.sin_port = htons(other->port);
        list_append(&resolver->answered, other);
    }
}

static void deliver(struct wsr_resolver *resolver, const struct seat *seat, struct job *job)
{
    answer_others(resolver, job);
    if (seat->dropped || resolver->fd < 0)
        free(job);
    else
        list_append(&resolver->answered, job);
    if (resolver->answered.n > 0 && resolver->fd >= 0)
        wsr_sys_eventfd_signal(resolver->fd);
}

/* A thread lives for as long as somebody waits. */
static void *answer(void *argument)
{
    struct wsr_resolver *resolver = argument;
    pthread_mutex_lock(&resolver->lock);
    struct seat *seat = take_seat(resolver);
    struct job *job;
    while ((job = list_take(&resolver->waiting, &resolver->waiting.head)) != NULL) {
        *seat = (struct seat){.taken = true, .busy = true, .tag = job->resolved.tag};
        pthread_mutex_unlock(&resolver->lock);
        look_up(job);
        pthread_mutex_lock(&resolver->lock);
        seat->busy = false;
        deliver(resolver, seat, job);
    }
    seat->taken = false;
    resolver->threads--;
    let_go(resolver);
    return NULL;
}

/* ---- the asking side ---- */

/* A thread that no signal of the application's is delivered to. 0, or an errno. */
static int start_thread(struct wsr_resolver *resolver)
{
    pthread_attr_t attributes;
    int error = pthread_attr_init(&attributes);
    if (error != 0)
        return error;
    (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    (void)pthread_attr_setstacksize(&attributes, STACK_BYTES); /* not taken: the default, which is larger */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t thread;
    error = pthread_create(&thread, &attributes, answer, resolver);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return error;
}

int wsr_resolver_open(struct wsr_resolver **out)
{
    struct wsr_resolver *resolver = calloc(1, sizeof *resolver);
    if (resolver == NULL)
        return WSR_ENOMEM;
    list_init(&resolver->waiting);
    list_init(&resolver->answered);
    resolver->holders = 1;
    resolver->fd = wsr_sys_eventfd();
    int error = resolver->fd < 0 ? -resolver->fd : pthread_mutex_init(&resolver->lock, NULL);
    if (error != 0) {
        if (resolver->fd >= 0)
            wsr_sys_close(resolver->fd);
        free(resolver);
        errno = error;
        return WSR_ESYS;
    }
    *out = resolver;
    return WSR_OK;
}

void wsr_resolver_close(struct wsr_resolver *resolver)
{
    if (resolver == NULL)
        return;
    pthread_mutex_lock(&resolver->lock);
    wsr_sys_close(resolver->fd);
    resolver->fd = -1;
    list_free(&resolver->waiting);
    let_go(resolver);
}

int wsr_resolver_fd(const struct wsr_resolver *resolver)
{
    return resolver->fd;
}

/* Under the lock. */
static int enqueue(struct wsr_resolver *resolver, struct job *job)
{
    if (resolver->waiting.n == WSR_RESOLVER_WAITING_MAX)
        return WSR_ELIMIT;
    if (resolver->threads < WSR_RESOLVER_THREADS_MAX) {
        int error = start_thread(resolver);
        if (error == 0) {
            resolver->threads++;
            resolver->holders++;
        } else if (resolver->threads == 0) { /* otherwise those who are there will come to it */
            errno = error;
            return WSR_ESYS;
        }
    }
    list_append(&resolver->waiting, job);
    return WSR_OK;
}

int wsr_resolver_ask(struct wsr_resolver *resolver, const char *host, uint16_t port, uint64_t tag)
{
    const size_t len = strlen(host);
    if (len > HOST_MAX)
        return WSR_EINVAL;
    struct job *job = calloc(1, sizeof *job);
    if (job == NULL)
        return WSR_ENOMEM;
    memcpy(job->host, host, len + 1);
    job->port = port;
    job->resolved.tag = tag;
    pthread_mutex_lock(&resolver->lock);
    int error = enqueue(resolver, job);
    pthread_mutex_unlock(&resolver->lock);
    if (error < 0)
        free(job);
    return error;
}

void wsr_resolver_forget(struct wsr_resolver *resolver, uint64_t tag)
{
    pthread_mutex_lock(&resolver->lock);
    if (!list_drop(&resolver->waiting, tag) && !list_drop(&resolver->answered, tag)) {
        for (unsigned i = 0; i < WSR_RESOLVER_THREADS_MAX; i++) {
            struct seat *seat = &resolver->seats[i];
            seat->dropped |= seat->busy && seat->tag == tag;
        }
    }
    pthread_mutex_unlock(&resolver->lock);
}

bool wsr_resolver_next(struct wsr_resolver *resolver, struct wsr_resolved *out)
{
    pthread_mutex_lock(&resolver->lock);
    struct job *job = list_take(&resolver->answered, &resolver->answered.head);
    pthread_mutex_unlock(&resolver->lock);
    if (job == NULL)
        return false;
    *out = job->resolved;
    free(job);
    return true;
}
