/*
 * bench/peers/libwebsockets.c - libwebsockets as a server for `make bench-net`; what all of these do: bench/README.md.
 *
 * One service thread. libwebsockets wants one write a writable callback, so what is to be sent waits in a queue a connection:
 * messages, each with room for a header before it. A message that comes in pieces is put together first.
 */
#include <libwebsockets.h>
#include <stdlib.h>
#include <string.h>

struct message {
    struct message *next;
    size_t len, cap;
    enum lws_write_protocol kind;
    unsigned char room[]; /* LWS_PRE, then the bytes */
};

struct session {
    struct message *coming, *first, *last; /* the one that is put together; those to send */
    struct lws *wsi;
    struct session *next, *previous; /* of the subscribers */
    int publishes, subscribes;
};

static struct session *subscribers;

/* message NULL begins one; more: how much is known to follow. */
static struct message *append(struct message *message, const void *data, size_t len, size_t more)
{
    size_t wanted = (message != NULL ? message->len : 0) + len + more;

    if (message == NULL || wanted > message->cap) {
        struct message *grown = realloc(message, sizeof *message + LWS_PRE + wanted);

        if (grown == NULL)
            abort();
        if (message == NULL)
            *grown = (struct message){0};
        grown->cap = wanted;
        message = grown;
    }
    memcpy(message->room + LWS_PRE + message->len, data, len);
    message->len += len;
    return message;
}

static void queue(struct session *session, struct message *message, enum lws_write_protocol kind)
{
    message->kind = kind;
    if (session->first == NULL)
        session->first = message;
    else
        session->last->next = message;
    session->last = message;
    lws_callback_on_writable(session->wsi);
}

static void received(struct lws *wsi, struct session *session, const void *data, size_t len)
{
    enum lws_write_protocol kind = lws_frame_is_binary(wsi) ? LWS_WRITE_BINARY : LWS_WRITE_TEXT;
    struct message *message = append(session->coming, data, len, lws_remaining_packet_payload(wsi));

    session->coming = lws_is_final_fragment(wsi) ? NULL : message;
    if (session->coming != NULL)
        return;
    if (!session->publishes) {
        queue(session, message, kind);
        return;
    }
    for (struct session *subscriber = subscribers; subscriber != NULL; subscriber = subscriber->next)
        queue(subscriber, append(NULL, message->room + LWS_PRE, message->len, 0), kind);
    free(message);
}

/* Returns non-zero to close. */
static int send_first(struct session *session)
{
    struct message *message = session->first;
    int sent;

    if (message == NULL)
        return 0;
    session->first = message->next;
    sent = lws_write(session->wsi, message->room + LWS_PRE, message->len, message->kind);
    free(message);
    if (session->first != NULL)
        lws_callback_on_writable(session->wsi);
    return sent < 0;
}

static void opened(struct lws *wsi, struct session *session)
{
    char path[16] = "";

    memset(session, 0, sizeof *session);
    session->wsi = wsi;
    lws_hdr_copy(wsi, path, sizeof path, WSI_TOKEN_GET_URI);
    session->publishes = strcmp(path, "/pub") == 0;
    session->subscribes = strcmp(path, "/sub") == 0;
    if (!session->subscribes)
        return;
    session->next = subscribers;
    if (subscribers != NULL)
        subscribers->previous = session;
    subscribers = session;
}

static void closed(struct session *session)
{
    free(session->coming);
    for (struct message *message = session->first, *next; message != NULL; message = next) {
        next = message->next;
        free(message);
    }
    session->coming = session->first = NULL;
    if (!session->subscribes)
        return;
    if (session->next != NULL)
        session->next->previous = session->previous;
    if (session->previous != NULL)
        session->previous->next = session->next;
    else
        subscribers = session->next;
}

static int callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
    switch (reason) {
    case LWS_CALLBACK_ESTABLISHED: opened(wsi, user); return 0;
    case LWS_CALLBACK_RECEIVE: received(wsi, user, in, len); return 0;
    case LWS_CALLBACK_SERVER_WRITEABLE: return send_first(user);
    case LWS_CALLBACK_CLOSED: closed(user); return 0;
    default: return 0;
    }
}

int main(int argc, char **argv)
{
    /* 64 KiB at a time, as its own benchmarks: the default of 4 KiB would be a handicap of ours. */
    static const struct lws_protocols protocols[] = {{"echo", callback, sizeof(struct session), 65536, 0, NULL, 0}, {NULL, NULL, 0, 0, 0, NULL, 0}};
    static const struct lws_extension extensions[] = {
        {"permessage-deflate", lws_extension_callback_pm_deflate,
         "permessage-deflate; client_no_context_takeover; server_no_context_takeover"}, {NULL, NULL, NULL}};
    struct lws_context_creation_info info;
    struct lws_context *context;

    if (argc < 2)
        return 2;
    lws_set_log_level(LLL_ERR, NULL);
    memset(&info, 0, sizeof info);
    info.port = atoi(argv[1]);
    info.iface = "127.0.0.1";
    info.protocols = protocols;
    info.pt_serv_buf_size = 65536 + LWS_PRE + 64;
    info.options = LWS_SERVER_OPTION_VALIDATE_UTF8;
    if (argc > 2 && strcmp(argv[2], "--deflate") == 0)
        info.extensions = extensions;
    if (argc > 3 && strcmp(argv[2], "--tls") == 0) { /* a PEM file with its key */
        info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
        info.ssl_cert_filepath = info.ssl_private_key_filepath = argv[3];
    }
    context = lws_create_context(&info);
    if (context == NULL)
        return 1;
    printf("listening on %s://127.0.0.1:%s\n", info.ssl_cert_filepath != NULL ? "wss" : "ws", argv[1]);
    fflush(stdout);
    while (lws_service(context, 0) >= 0)
        ;
    lws_context_destroy(context);
    return 0;
}
