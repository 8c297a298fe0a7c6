/*
 * bench/fan.c - our end of the fan-out: what a /pub sends goes to every /sub, prepared once, on the public API.
 *
 * Not an example of good manners: who does not read loses its connection.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wsring/wsring.h>

enum { EVENTS = 512 };

/* A connection from OPEN to CLOSED, as its user pointer. */
struct client {
    wsr_conn conn;
    int publishes;
    size_t place; /* among the subscribers */
};

static wsr_engine *engine;
static struct client **subscribers;
static size_t subscribers_n, subscribers_cap;

static int has_path(const wsr_event *event, const char *path)
{
    wsr_slice asked = wsr_event_request(event)->path;

    return asked.len == strlen(path) && memcmp(asked.ptr, path, asked.len) == 0;
}

static void subscribe(struct client *client)
{
    if (subscribers_n == subscribers_cap) {
        subscribers_cap = subscribers_cap > 0 ? 2 * subscribers_cap : 64;
        subscribers = realloc(subscribers, subscribers_cap * sizeof(struct client *));
        if (subscribers == NULL)
            abort();
    }
    client->place = subscribers_n;
    subscribers[subscribers_n++] = client;
}

static void on_open(const wsr_event *event)
{
    struct client *client = calloc(1, sizeof *client);

    if (client == NULL || wsr_set_user(engine, event->conn, client) != WSR_OK)
        abort();
    client->conn = event->conn;
    client->publishes = has_path(event, "/pub");
    client->place = SIZE_MAX;
    if (has_path(event, "/sub"))
        subscribe(client);
}

static void on_message(const wsr_event *event)
{
    const struct client *client = event->user;
    wsr_prepared *message;

    if (!client->publishes)
        return;
    if (wsr_prepare(engine, (wsr_opcode)event->opcode, (wsr_slice){event->data.ptr, event->data.len}, &message) != WSR_OK)
        abort();
    for (size_t i = 0; i < subscribers_n; i++)
        if (wsr_send_prepared(engine, subscribers[i]->conn, message) == WSR_EFULL)
            (void)!wsr_abort(engine, subscribers[i]->conn);
    wsr_prepared_free(message);
}

static void on_closed(const wsr_event *event)
{
    struct client *client = event->user;

    if (client == NULL)
        return;
    if (client->place != SIZE_MAX) {
        subscribers[client->place] = subscribers[--subscribers_n];
        subscribers[client->place]->place = client->place;
    }
    free(client);
}

int main(int argc, char **argv)
{
    static wsr_event events[EVENTS];
    wsr_listen_config listen = WSR_LISTEN_CONFIG_INIT;
    wsr_listener listener;
    int error, n = 0;

    if (argc != 2) {
        fprintf(stderr, "usage: %s PORT\n", argv[0]);
        return 2;
    }
    listen.port = (uint16_t)atoi(argv[1]);
    error = wsr_engine_open(&engine, NULL);
    if (error == WSR_OK)
        error = wsr_listen(engine, &listen, &listener);
    if (error != WSR_OK) {
        fprintf(stderr, "%s: %s\n", argv[0], wsr_error_text(error));
        return 1;
    }
    printf("listening on ws://127.0.0.1:%u\n", wsr_listen_port(engine, listener));
    fflush(stdout);
    while (n >= 0) {
        n = wsr_poll(engine, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            switch (events[i].type) {
            case WSR_EVENT_OPEN: on_open(&events[i]); break;
            case WSR_EVENT_MESSAGE: on_message(&events[i]); break;
            case WSR_EVENT_CLOSED: on_closed(&events[i]); break;
            default: break;
            }
        }
    }
    return 1;
}
