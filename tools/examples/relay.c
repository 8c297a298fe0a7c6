/*
 * A relay: each client that comes gets a connection of its own to the URL given, and every message goes through both ways without
 * being copied where that can be helped. Server and client share one engine, which lives in somebody else's epoll loop. Nothing is
 * dropped: who sends faster than the other end takes is not read from until it has caught up.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <wsring/wsring.h>

/*
 * What waits for one end before the other is not read any more. Its outbox, of 16 MiB if not told otherwise, must have room for that,
 * for the rest of the batch (4 MiB, and receive buffers of 1 MiB), and for one message.
 */
#define BEHIND_BYTES ((size_t)1 << 20)
#define MESSAGE_BYTES_MAX ((size_t)4 << 20)

struct pair {
    wsr_conn end[2]; /* by role: the client that came, and ours; 0: gone */
};

static wsr_engine *engine;
static const char *url;

static void must(int result)
{
    if (result >= 0)
        return;
    fprintf(stderr, "relay: %s\n", wsr_error_text(result));
    exit(1);
}

static wsr_role role_of(const struct pair *pair, wsr_conn conn)
{
    return conn == pair->end[WSR_SERVER] ? WSR_SERVER : WSR_CLIENT;
}

/* A client asks to be let in: it waits for its answer until we are connected. */
static void begin(wsr_conn client)
{
    struct pair *pair = calloc(1, sizeof *pair);
    wsr_connect_config config = WSR_CONNECT_CONFIG_INIT;
    config.url = url;
    config.user = pair;
    if (pair == NULL || wsr_connect(engine, &config, &pair->end[WSR_CLIENT]) < 0) {
        free(pair);
        must(wsr_refuse(engine, client, 503, NULL, wsr_slice_of("no room\n")));
        return;
    }
    pair->end[WSR_SERVER] = client;
    must(wsr_set_user(engine, client, pair));
}

static void relay(const struct pair *pair, const wsr_event *event)
{
    const wsr_conn to = pair->end[role_of(pair, event->conn) == WSR_SERVER ? WSR_CLIENT : WSR_SERVER];
    const int error = wsr_forward(engine, to, event);
    if (error == WSR_ESTALE || error == WSR_ESTATE) /* it is leaving: CLOSED says so to this end too */
        return;
    must(error);
    if (wsr_outbox_bytes(engine, to) > BEHIND_BYTES) {
        must(wsr_pause_read(engine, event->conn));
        must(wsr_want_writable(engine, to, BEHIND_BYTES / 2));
    }
}

/* One end is gone: the other goes with the same words, or is told why it was not let in. */
static void end(struct pair *pair, const wsr_event *event)
{
    const wsr_close_record *record = wsr_event_close_record(event);
    const wsr_role gone = role_of(pair, event->conn), left = gone == WSR_SERVER ? WSR_CLIENT : WSR_SERVER;
    const wsr_conn other = pair->end[left];
    pair->end[gone] = 0;
    if (other == 0) {
        free(pair);
        return;
    }
    const uint16_t code = wsr_close_may_send(record->code, left) ? record->code : WSR_CLOSE_GOING_AWAY;
    int error = wsr_close(engine, other, code, wsr_slice_of(record->reason));
    if (error == WSR_ESTATE) /* not open yet, or closing already */
        error = wsr_refuse(engine, other, 502, NULL, wsr_slice_of(wsr_error_text(record->cause)));
    if (error == WSR_OK || error == WSR_ESTATE)
        error = wsr_resume_read(engine, other); /* or its own Close would not be seen */
    must(error);
}

static void handle(const wsr_event *event)
{
    struct pair *pair = event->user;
    if (event->type == WSR_EVENT_REQUEST)
        begin(event->conn);
    else if (event->type == WSR_EVENT_OPEN) /* ours: now the client is let in, if it is still there */
        (void)!wsr_accept(engine, pair->end[WSR_SERVER], NULL, NULL);
    else if (event->type == WSR_EVENT_MESSAGE)
        relay(pair, event);
    else if (event->type == WSR_EVENT_WRITABLE)
        (void)!wsr_resume_read(engine, pair->end[role_of(pair, event->conn) == WSR_SERVER ? WSR_CLIENT : WSR_SERVER]);
    else if (event->type == WSR_EVENT_CLOSED && pair != NULL)
        end(pair, event);
}

int main(int argc, char **argv)
{
    const char *problem = argc == 2 ? wsr_url_problem(argv[1]) : "usage: relay URL";
    if (problem != NULL)
        return fprintf(stderr, "relay: %s\n", problem), 2;
    url = argv[1];
    wsr_config config = WSR_CONFIG_INIT;
    wsr_listen_config listen = WSR_LISTEN_CONFIG_INIT;
    wsr_listener listener;
    config.limits.message_bytes_max = MESSAGE_BYTES_MAX;
    listen.manual = true;
    must(wsr_engine_open(&engine, &config));
    must(wsr_listen(engine, &listen, &listener));
    printf("ws://127.0.0.1:%u\n", wsr_listen_port(engine, listener));
    fflush(stdout);

    const int loop = epoll_create1(EPOLL_CLOEXEC), fd = wsr_engine_fd(engine);
    struct epoll_event ready = {.events = EPOLLIN};
    must(fd);
    if (loop < 0 || epoll_ctl(loop, EPOLL_CTL_ADD, fd, &ready) != 0)
        return perror("relay: epoll"), 1;
    for (;;) {
        wsr_event events[64];
        int n;
        while ((n = wsr_poll(engine, events, 64, 0)) > 0) /* until there is nothing left: then the descriptor tells */
            for (int i = 0; i < n; i++)
                handle(&events[i]);
        must(n);
        (void)epoll_wait(loop, &ready, 1, -1);
    }
}
