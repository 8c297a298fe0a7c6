/*
 * tests/sim/fake_resolve.c - ring/resolve.h on the simulated host: what names there are is the test's to say (sim_name), and
 * an answer is an event that comes in its time, or never. And what there is at their addresses (sim_place).
 */
#include "sim/kernel.h"

#include "ring/resolve.h"

#define NAMES_MAX 64u
#define JOBS_MAX 4096u

static struct name {
    char host[64];
    uint64_t delay_ns;
    const char *error;
    union wsr_ip_address addresses[WSR_RESOLVED_MAX];
    unsigned n;
} names[NAMES_MAX];
static unsigned names_n;

static struct place {
    union wsr_address address; /* port 0 */
    uint64_t delay_ns;
    int error;
} places[NAMES_MAX];
static unsigned places_n;

enum job_state { JOB_FREE, JOB_ASKED, JOB_ANSWERED };

static struct job {
    struct wsr_resolver *resolver;
    uint32_t generation; /* an event of an earlier life is recognised by it */
    enum job_state state;
    uint64_t answered;   /* how many were before: the order they are taken in */
    struct wsr_resolved resolved;
} jobs[JOBS_MAX];
static uint64_t answers_n;

struct wsr_resolver {
    int fd;
};

void sim_names_reset_all(void)
{
    names_n = places_n = 0;
    for (unsigned i = 0; i < JOBS_MAX; i++) {
        jobs[i].state = JOB_FREE;
        jobs[i].generation++;
    }
}

void sim_name(const char *host, uint64_t delay_ns, const char *error, const char *addresses)
{
    unsigned i = 0;
    while (i < names_n && strcmp(names[i].host, host) != 0)
        i++;
    if (i == NAMES_MAX || strlen(host) >= sizeof names[i].host) {
        fprintf(stderr, "sim_name: too many names, or too long a one\n");
        abort();
    }
    names_n += i == names_n;
    struct name *name = &names[i];
    memset(name, 0, sizeof *name);
    strcpy(name->host, host);
    name->delay_ns = delay_ns;
    name->error = error;
    char text[64];
    for (int used = 0; addresses != NULL && sscanf(addresses, " %63s%n", text, &used) == 1; addresses += used) {
        union wsr_address address;
        socklen_t len;
        if (name->n == WSR_RESOLVED_MAX || wsr_sys_address(text, 0, &address, &len) < 0)
            abort();
        memcpy(&name->addresses[name->n++], &address, len);
    }
}

void sim_place(const char *address, uint64_t delay_ns, int error)
{
    socklen_t len;
    union wsr_address to;
    if (wsr_sys_address(address, 0, &to, &len) < 0)
        abort();
    unsigned i = 0;
    while (i < places_n && memcmp(&places[i].address, &to, sizeof to) != 0)
        i++;
    if (i == NAMES_MAX) {
        fprintf(stderr, "sim_place: too many places\n");
        abort();
    }
    places_n += i == places_n;
    places[i] = (struct place){to, delay_ns, error};
}

uint64_t sim_place_of(const union wsr_address *address, int *error)
{
    union wsr_address to = *address;
    if (to.any.sa_family == AF_UNIX)
        return 0;
    to.in4.sin_port = 0;
    for (unsigned i = 0; i < places_n; i++) {
        const size_t len = to.any.sa_family == AF_INET ? sizeof to.in4 : sizeof to.in6;
        if (memcmp(&places[i].address, &to, len) != 0)
            continue;
        if (places[i].error != 0)
            *error = places[i].error;
        return places[i].delay_ns;
    }
    return 0;
}

int wsr_resolver_open(struct wsr_resolver **out)
{
    struct wsr_resolver *resolver = malloc(sizeof *resolver);
    if (resolver == NULL)
        return WSR_ENOMEM;
    resolver->fd = wsr_sys_eventfd();
    if (resolver->fd < 0) {
        errno = -resolver->fd;
        free(resolver);
        return WSR_ESYS;
    }
    *out = resolver;
    return WSR_OK;
}

static void drop(struct job *job)
{
    job->state = JOB_FREE;
    job->generation++;
}

void wsr_resolver_close(struct wsr_resolver *resolver)
{
    if (resolver == NULL)
        return;
    for (unsigned i = 0; i < JOBS_MAX; i++)
        if (jobs[i].state != JOB_FREE && jobs[i].resolver == resolver)
            drop(&jobs[i]);
    wsr_sys_close(resolver->fd);
    free(resolver);
}

int wsr_resolver_fd(const struct wsr_resolver *resolver)
{
    return resolver->fd;
}

static void answer(struct wsr_resolved *resolved, const char *host, uint16_t port, uint64_t *delay_ns)
{
    const struct name *name = names;
    while (name < names + names_n && strcmp(name->host, host) != 0)
        name++;
    const bool known = name < names + names_n;
    *delay_ns = known ? name->delay_ns : 0;
    if (!known || name->error != NULL) {
        resolved->error = WSR_ERESOLVE;
        resolved->text = known ? name->error : "Name or service not known";
        return;
    }
    resolved->n = name->n;
    memcpy(resolved->addresses, name->addresses, sizeof name->addresses);
    for (unsigned i = 0; i < resolved->n; i++)
        resolved->addresses[i].in4.sin_port = htons(port);
}

int wsr_resolver_ask(struct wsr_resolver *resolver, const char *host, uint16_t port, uint64_t tag)
{
    int error = sim_injected(SIM_RESOLVE);
    unsigned i = 0;
    while (i < JOBS_MAX && jobs[i].state != JOB_FREE)
        i++;
    if (error != 0 || i == JOBS_MAX) {
        errno = error;
        return error != 0 ? WSR_ESYS : WSR_ELIMIT;
    }
    struct job *job = &jobs[i];
    memset(&job->resolved, 0, sizeof job->resolved);
    job->resolved.tag = tag;
    job->resolver = resolver;
    job->state = JOB_ASKED;
    uint64_t delay_ns;
    answer(&job->resolved, host, port, &delay_ns);
    if (delay_ns != UINT64_MAX)
        sim_event(SIM_EVENT_NAME, sim_world.now_ns + delay_ns, job, job->generation);
    return WSR_OK;
}

void sim_name_event(void *who, uint64_t generation)
{
    struct job *job = who;
    if (job->generation != (uint32_t)generation || job->state != JOB_ASKED)
        return;
    job->state = JOB_ANSWERED;
    job->answered = answers_n++;
    wsr_sys_eventfd_signal(job->resolver->fd);
}

void wsr_resolver_forget(struct wsr_resolver *resolver, uint64_t tag)
{
    for (unsigned i = 0; i < JOBS_MAX; i++)
        if (jobs[i].state != JOB_FREE && jobs[i].resolver == resolver && jobs[i].resolved.tag == tag)
            drop(&jobs[i]);
}

bool wsr_resolver_next(struct wsr_resolver *resolver, struct wsr_resolved *out)
{
    struct job *first = NULL;
    for (unsigned i = 0; i < JOBS_MAX; i++)
        if (jobs[i].state == JOB_ANSWERED && jobs[i].resolver == resolver && (first == NULL || jobs[i].answered < first->answered))
            first = &jobs[i];
    if (first == NULL)
        return false;
    *out = first->resolved;
    drop(first);
    return true;
}
