/*
 * wsring/event.h - what an endpoint or engine reports: one cache line an event, in an array of the caller's.
 *
 * Everything a data slice points to stays valid until the next wsr_poll (engine) or wsr_endpoint_feed (endpoint) and
 * may be changed in place by the application until then.
 */
#ifndef WSRING_EVENT_H
#define WSRING_EVENT_H

#include <wsring/close.h>
#include <wsring/socket.h>
#include <wsring/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum wsr_event_type {
    WSR_EVENT_NONE = 0,
    WSR_EVENT_OPEN,     /* the handshake is done (not after a REQUEST); data: a wsr_request (server) or wsr_response (client) */
    WSR_EVENT_REQUEST,  /* server, if asked for: an upgrade to accept or refuse; data: a wsr_request */
    WSR_EVENT_MESSAGE,  /* a whole message; opcode, data */
    WSR_EVENT_PING,     /* a ping, already answered; data: its payload */
    WSR_EVENT_PONG,     /* data: its payload; not for an answer to a ping of the library's own (wsr_round_trip_ns) */
    WSR_EVENT_WRITABLE, /* after WSR_EFULL, or wsr_want_writable: the outbox has room again */
    WSR_EVENT_CLOSED,   /* the last event of its connection, exactly once; data: a wsr_close_record; close_code, error */
    WSR_EVENT_WAKE,     /* engine: wsr_wake was called; conn is 0 */
    WSR_EVENT_CHUNK,    /* a piece of a message larger than wsr_limits.whole_bytes_max, as it came; opcode, flags, data */
    WSR_EVENT_RECONNECTING, /* client.h: lost, but not for good; data: a wsr_reconnecting; close_code, error of what was lost */
    WSR_EVENT_UNDELIVERED   /* client.h: a message queued while down whose time was up; opcode, data: as it was given to wsr_send */
} wsr_event_type;

enum {
    WSR_EVENT_AFTER_CLOSE = 1, /* a message that the peer sent before it saw our Close: delivered, cannot be answered */
    /*
     * CHUNK: the first piece of its message; the last (which may be empty, and may be the first too). Pieces of a message come
     * in order, with nothing of another message between them; control frames may come between. Where they are cut says nothing
     * about frames or characters. Text is valid UTF-8 as far as it has come, but a character may be cut in two: its rest
     * begins the next piece. Behind a FIRST without its LAST comes only CLOSED: the message was not finished, or was wrong.
     */
    WSR_EVENT_FIRST = 2,
    WSR_EVENT_LAST = 4,
    WSR_EVENT_DEFLATED = 8, /* MESSAGE, CHUNK: it came compressed (permessage-deflate); data is not */
    WSR_EVENT_SUCCESSOR = 16, /* OPEN: it takes the place of the connection whose wsr_conn is in token (wsr_succeed) */
    /*
     * MESSAGE, CHUNK, PING, PONG, where wsr_socket_options.receive_stamps asked for it: wsr_event_stamp is the stamp of the receive
     * that brought its last byte. Without: the kernel gave none, or that byte came with a handshake's or somebody else had read it
     * (wsr_adopt_fd).
     */
    WSR_EVENT_STAMPED = 32,
    /*
     * STAMPED: more than the end of this one frame came with that receive (other messages, which have the same stamp, or part of
     * one), or lay behind it, or the bytes had to wait. The stamp is the newest segment's, so this event's may have come earlier.
     */
    WSR_EVENT_STAMP_SHARED = 64
};

typedef struct wsr_event {
    uint8_t type;        /* wsr_event_type */
    uint8_t opcode;      /* MESSAGE, CHUNK: WSR_TEXT or WSR_BINARY */
    uint16_t flags;      /* WSR_EVENT_* bits */
    uint16_t close_code; /* CLOSED: the record's code */
    uint16_t reserved;
    int32_t error;       /* CLOSED: the record's cause, a wsr_error */
    uint32_t reserved2;
    wsr_conn conn;
    void *user;          /* as set by wsr_set_user before the poll; a first message can be in one batch with OPEN: wsr_user knows then */
    wsr_span data;
    uint64_t time_ns;    /* CLOCK_MONOTONIC, or the now_ns of the feed: when the batch with its last byte was taken in */
    uint64_t token;      /* OPEN with SUCCESSOR: the wsr_conn to leave; with STAMPED: for wsr_event_stamp; else 0 */
} wsr_event;

#if defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L && UINTPTR_MAX == UINT64_MAX
_Static_assert(sizeof(wsr_event) == 64, "an event is one cache line");
_Static_assert(offsetof(wsr_event, data) == 32 && offsetof(wsr_event, token) == 56, "the layout is part of the interface");
#endif

typedef struct wsr_header {
    wsr_slice name;  /* as received, any case */
    wsr_slice value; /* without surrounding blanks */
} wsr_header;

/* An upgrade request as the server saw it (RFC 6455 section 4.2.1), already checked. All slices lie in the request. */
typedef struct wsr_request {
    wsr_slice target;       /* as sent: "/chat?room=1" */
    wsr_slice path;         /* up to '?', not percent-decoded */
    wsr_slice query;        /* after '?', empty if none */
    wsr_slice host;         /* the Host header */
    wsr_slice origin;       /* the Origin header, ptr NULL if none was sent */
    wsr_slice subprotocols; /* Sec-WebSocket-Protocol values offered, comma-separated as sent; ptr NULL if none */
    wsr_slice subprotocol;  /* chosen, empty if none (yet) */
    const wsr_header *headers;
    unsigned headers_n;
} wsr_request;

/* The server's answer as the client saw it (RFC 6455 section 4.1): of OPEN, and of a wsr_close_record. */
typedef struct wsr_response {
    uint16_t status;       /* 101, or that of a refusal */
    wsr_slice subprotocol; /* chosen by the server, empty if none */
    const wsr_header *headers;
    unsigned headers_n;
    wsr_slice body;        /* of a refusal: the beginning of its body, at most WSR_RESPONSE_BODY_MAX bytes */
} wsr_response;

#define WSR_RESPONSE_BODY_MAX 4096u /* bytes */

/* The payload of a MESSAGE, CHUNK, PING, PONG or UNDELIVERED event, to be read or sent on. */
static inline wsr_slice wsr_event_payload(const wsr_event *event)
{
    wsr_slice payload = {event->data.ptr, event->data.len};
    return payload;
}

/* The data of an OPEN or REQUEST event, typed. NULL for another event, or the other role's. Valid as long as the event. */
static inline const wsr_close_record *wsr_event_close_record(const wsr_event *event)
{
    return event->type == WSR_EVENT_CLOSED ? (const wsr_close_record *)(const void *)event->data.ptr : NULL;
}

static inline const wsr_request *wsr_event_request(const wsr_event *event)
{
    return (event->type == WSR_EVENT_REQUEST || event->type == WSR_EVENT_OPEN) && event->data.len == sizeof(wsr_request)
               ? (const wsr_request *)(const void *)event->data.ptr
               : NULL;
}

static inline const wsr_response *wsr_event_response(const wsr_event *event)
{
    return event->type == WSR_EVENT_OPEN && event->data.len == sizeof(wsr_response) ? (const wsr_response *)(const void *)event->data.ptr : NULL;
}

/* NULL without STAMPED. Valid as long as the event. */
static inline const wsr_receive_stamp *wsr_event_stamp(const wsr_event *event)
{
    return (event->flags & WSR_EVENT_STAMPED) != 0 ? (const wsr_receive_stamp *)(uintptr_t)event->token : NULL;
}

#ifdef __cplusplus
}
#endif

#endif
