/*
 * tests/peers/server_libwebsockets.c - libwebsockets as an echo server for `wsring load`. Arguments, if TLS is wanted: certificate, key.
 * Prints its port.
 *
 * libwebsockets hands messages over in pieces, each with how much of its frame is left; they are put together, and what is to be sent waits
 * for the one write that a writable callback may make.
 */
#include <libwebsockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct message {
    struct message *next;
    size_t len;
    enum lws_write_protocol kind;
    unsigned char room[]; /* LWS_PRE bytes for libwebsockets, then the message */
};

struct session {
    struct message *coming, *first, *last;
};

static void received(struct lws *wsi, struct session *session, const void *data, size_t len)
{
    struct message *message = session->coming;
    size_t before = message != NULL ? message->len : 0;
    message = realloc(message, sizeof *message + LWS_PRE + before + len);
    if (message == NULL)
        abort();
    message->next = NULL;
    message->len = before + len;
    message->kind = lws_frame_is_binary(wsi) ? LWS_WRITE_BINARY : LWS_WRITE_TEXT;
    if (len > 0)
        memcpy(message->room + LWS_PRE + before, data, len);
    session->coming = message;
    if (!lws_is_final_fragment(wsi) || lws_remaining_packet_payload(wsi) > 0)
        return;
    session->coming = NULL;
    if (session->first == NULL)
        session->first = message;
    else
        session->last->next = message;
    session->last = message;
    lws_callback_on_writable(wsi);
}

static int write_one(struct lws *wsi, struct session *session)
{
    struct message *message = session->first;
    if (message == NULL)
        return 0;
    session->first = message->next;
    int sent = lws_write(wsi, message->room + LWS_PRE, message->len, message->kind);
    free(message);
    if (session->first != NULL)
        lws_callback_on_writable(wsi);
    return sent < 0 ? -1 : 0;
}

static void closed(struct session *session)
{
    free(session->coming);
    for (struct message *message = session->first, *next; message != NULL; message = next) {
        next = message->next;
        free(message);
    }
}

static int callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
    switch (reason) {
    case LWS_CALLBACK_ESTABLISHED:
        memset(user, 0, sizeof(struct session));
        return 0;
    case LWS_CALLBACK_RECEIVE:
        received(wsi, user, in, len);
        return 0;
    case LWS_CALLBACK_SERVER_WRITEABLE:
        return write_one(wsi, user);
    case LWS_CALLBACK_CLOSED:
        closed(user);
        return 0;
    default:
        return lws_callback_http_dummy(wsi, reason, user, in, len);
    }
}

int main(int argc, char **argv)
{
    static const struct lws_protocols protocols[] = {{"echo", callback, sizeof(struct session), 65536, 0, NULL, 0}, {NULL, NULL, 0, 0, 0, NULL, 0}};
    static const struct lws_extension extensions[] = {{"permessage-deflate", lws_extension_callback_pm_deflate, "permessage-deflate"}, {NULL, NULL, NULL}};
    struct lws_context_creation_info info;
    memset(&info, 0, sizeof info);
    info.iface = "127.0.0.1";
    info.protocols = protocols;
    info.extensions = extensions;
    info.options = LWS_SERVER_OPTION_VALIDATE_UTF8 | LWS_SERVER_OPTION_EXPLICIT_VHOSTS;
    if (argc > 2) {
        info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
        info.ssl_cert_filepath = argv[1];
        info.ssl_private_key_filepath = argv[2];
    }
    lws_set_log_level(LLL_ERR, NULL);
    struct lws_context *context = lws_create_context(&info);
    struct lws_vhost *host = context != NULL ? lws_create_vhost(context, &info) : NULL;
    if (host == NULL)
        return 1;
    printf("%d\n", lws_get_vhost_listen_port(host));
    fflush(stdout);
    while (lws_service(context, 0) >= 0)
        ;
    lws_context_destroy(context);
    return 0;
}
