/*
 * proto/close.c - the table that ends connections, the dozen lines that apply it, and the payload of a Close frame.
 * The header is the manual. RFC 6455 sections 5.5.1, 7.1, 7.2.
 */
#include "proto/close.h"

#include <assert.h>
#include <string.h>

#include <wsring/simd.h>

#define DROP WSR_CA_DROP
#define SEND WSR_CA_SEND
#define READ_ON WSR_CA_READ_ON
#define DISCARD WSR_CA_DISCARD
#define SHUT_DOWN WSR_CA_SHUT_DOWN
#define TIMER WSR_CA_TIMER
#define REPORT WSR_CA_REPORT

/* An input that is not named in a row has no effect in that state. */
const struct wsr_close_table wsr_close_table = {.at = {
    [WSR_CS_OPEN] = {
        [WSR_CI_LOCAL_CLOSE] = {WSR_CS_SENT, WSR_BY_LOCAL, SEND | READ_ON | TIMER},
        [WSR_CI_LOCAL_ABORT] = {WSR_CS_DONE, WSR_BY_LOCAL, REPORT},
        /* "If an endpoint receives a Close frame and did not previously send a Close frame, the endpoint MUST send a
           Close frame in response." (5.5.1) */
        [WSR_CI_PEER_CLOSE] = {WSR_CS_RECEIVED, WSR_BY_PEER, SEND | DISCARD | TIMER},
        /* "the endpoint SHOULD send a Close frame with an appropriate status code [...] An endpoint MUST NOT continue to
           attempt to process data (including a responding Close frame) from the remote endpoint" (7.1.7) */
        [WSR_CI_FAILURE] = {WSR_CS_FAILED, WSR_BY_LOCAL, DROP | SEND | DISCARD | TIMER},
        [WSR_CI_EOF] = {WSR_CS_DONE, WSR_BY_NOBODY, REPORT},
        [WSR_CI_RESET] = {WSR_CS_DONE, WSR_BY_NOBODY, REPORT},
        [WSR_CI_SEND_ERROR] = {WSR_CS_BROKEN, WSR_BY_NOBODY, DROP | READ_ON | TIMER},
    },
    [WSR_CS_SENT] = {
        [WSR_CI_LOCAL_ABORT] = {WSR_CS_DONE, WSR_BY_NOBODY, REPORT},
        [WSR_CI_PEER_CLOSE] = {WSR_CS_RECEIVED, WSR_BY_BOTH, DISCARD},
        [WSR_CI_FAILURE] = {WSR_CS_FAILED, WSR_BY_NOBODY, DROP | DISCARD | TIMER},
        [WSR_CI_EOF] = {WSR_CS_LAST, WSR_BY_NOBODY, 0},
        [WSR_CI_RESET] = {WSR_CS_DONE, WSR_BY_NOBODY, REPORT},
        [WSR_CI_SEND_ERROR] = {WSR_CS_BROKEN, WSR_BY_NOBODY, DROP | TIMER},
        [WSR_CI_TIMEOUT] = {WSR_CS_FAILED, WSR_BY_NOBODY, DROP | DISCARD | TIMER},
        [WSR_CI_FLUSHED] = {WSR_CS_AWAITING, WSR_BY_NOBODY, TIMER},
    },
    [WSR_CS_AWAITING] = {
        [WSR_CI_LOCAL_ABORT] = {WSR_CS_DONE, WSR_BY_NOBODY, REPORT},
        [WSR_CI_PEER_CLOSE] = {WSR_CS_LINGER, WSR_BY_NOBODY, DISCARD | SHUT_DOWN | TIMER},
        [WSR_CI_FAILURE] = {WSR_CS_LINGER, WSR_BY_NOBODY, DISCARD | SHUT_DOWN | TIMER},
        [WSR_CI_EOF] = {WSR_CS_DONE, WSR_BY_NOBODY, REPORT},
        [WSR_CI_RESET] = {WSR_CS_DONE, WSR_BY_NOBODY, REPORT},
        [WSR_CI_TIMEOUT] = {WSR_CS_DONE, WSR_BY_NOBODY, REPORT},
    },
    [WSR_CS_RECEIVED] = {
        [WSR_CI_LOCAL_ABORT] = {WSR_CS_DONE, WSR_BY_NOBODY, REPORT},
        [WSR_CI_FAILURE] = {WSR_CS_FAILED, WSR_BY_NOBODY, DROP | TIMER},
        [WSR_CI_EOF] = {WSR_CS_LAST, WSR_BY_NOBODY, 0},
        [WSR_CI_RESET] = {WSR_CS_DONE, WSR_BY_NOBODY, REPORT},
        [WSR_CI_SEND_ERROR] = {WSR_CS_DONE, WSR_BY_NOBODY, REPORT},
        [WSR_CI_TIMEOUT] = {WSR_CS_FAILED, WSR_BY_NOBODY, DROP | TIMER},
        [WSR_CI_FLUSHED] = {WSR_CS_LINGER, WSR_BY_NOBODY, SHUT_DOWN | TIMER},
    },
    [WSR_CS_FAILED] = {
        [WSR_CI_LOCAL_ABORT] = {WSR_CS_DONE, WSR_BY_NOBODY, REPORT},
        [WSR_CI_EOF] = {WSR_CS_LAST, WSR_BY_NOBODY, 0},
        [WSR_CI_RESET] = {WSR_CS_DONE, WSR_BY_NOBODY, REPORT},
        [WSR_CI_SEND_ERROR] = {WSR_CS_DONE, WSR_BY_NOBODY, REPORT},
        [WSR_CI_TIMEOUT] = {WSR_CS_DONE, WSR_BY_NOBODY, REPORT},
        [WSR_CI_FLUSHED] = {WSR_CS_LINGER, WSR_BY_NOBODY, SHUT_DOWN | TIMER},
    },
    [WSR_CS_LAST] = {
        [WSR_CI_LOCAL_ABORT] = {WSR_CS_DONE, WSR_BY_NOBODY, REPORT},
        [WSR_CI_FAILURE] = {WSR_CS_LAST, WSR_BY_NOBODY, DROP},
        [WSR_CI_RESET] = {WSR_CS_DONE, WSR_BY_NOBODY, REPORT},
        [WSR_CI_SEND_ERROR] = {WSR_CS_DONE, WSR_BY_NOBODY, REPORT},
        [WSR_CI_TIMEOUT] = {WSR_CS_DONE, WSR_BY_NOBODY, REPORT},
        [WSR_CI_FLUSHED] = {WSR_CS_DONE, WSR_BY_NOBODY, REPORT},
    },
    [WSR_CS_BROKEN] = {
        [WSR_CI_LOCAL_ABORT] = {WSR_CS_DONE, WSR_BY_LOCAL, REPORT},
        [WSR_CI_PEER_CLOSE] = {WSR_CS_DONE, WSR_BY_PEER, REPORT},
        [WSR_CI_FAILURE] = {WSR_CS_DONE, WSR_BY_LOCAL, REPORT},
        [WSR_CI_EOF] = {WSR_CS_DONE, WSR_BY_NOBODY, REPORT},
        [WSR_CI_RESET] = {WSR_CS_DONE, WSR_BY_NOBODY, REPORT},
        [WSR_CI_TIMEOUT] = {WSR_CS_DONE, WSR_BY_NOBODY, REPORT},
    },
    [WSR_CS_LINGER] = {
        [WSR_CI_LOCAL_ABORT] = {WSR_CS_DONE, WSR_BY_NOBODY, REPORT},
        [WSR_CI_EOF] = {WSR_CS_DONE, WSR_BY_NOBODY, REPORT},
        [WSR_CI_RESET] = {WSR_CS_DONE, WSR_BY_NOBODY, REPORT},
        [WSR_CI_TIMEOUT] = {WSR_CS_DONE, WSR_BY_NOBODY, REPORT},
    },
    /* DONE: nothing has any effect. */
}};

_Static_assert(sizeof(struct wsr_close) == 8, "an idle connection pays eight bytes for closing");

unsigned wsr_close_step_in(const struct wsr_close_table *table, struct wsr_close *c, enum wsr_close_input in, uint16_t code, wsr_role role)
{
    assert(c->state < WSR_CS_COUNT && (unsigned)in < WSR_CI_COUNT);
    const struct wsr_close_cell cell = table->at[c->state][in];
    if (cell.next == WSR_CS_OPEN)
        return 0;

    unsigned actions = cell.actions;
    c->state = cell.next;
    if (c->by == WSR_BY_NOBODY || cell.by == WSR_BY_BOTH)
        c->by = cell.by;
    if (in == WSR_CI_PEER_CLOSE)
        c->code_received = code;
    if (actions & SEND)
        c->code_sent = code; /* the application's, the failure's, or the peer's, echoed */
    if (actions & DROP)
        c->dropped = true;
    if (in == WSR_CI_FLUSHED)
        c->flushed = true;
    /* Clean (7.1.4): both Closes passed, nothing was dropped for it, and the peer's stream ended in order, which is the
       input that reports, or came before the one that does (LAST x FLUSHED). */
    if (actions & REPORT)
        c->clean = c->flushed && c->code_received != 0 && !c->dropped && (in == WSR_CI_EOF || in == WSR_CI_FLUSHED);

    /* "when a server is instructed to _Close the WebSocket Connection_ it SHOULD initiate a TCP Close immediately, and
       when a client is instructed to do the same, it SHOULD wait for a TCP Close from the server." (7.1.1) */
    if (role == WSR_CLIENT)
        actions &= ~(unsigned)SHUT_DOWN;
    return actions;
}

unsigned wsr_close_step(struct wsr_close *c, enum wsr_close_input in, uint16_t code, wsr_role role)
{
    return wsr_close_step_in(&wsr_close_table, c, in, code, role);
}

uint16_t wsr_close_code(const struct wsr_close *c)
{
    if (c->code_received != 0)
        return c->code_received;
    return wsr_close_code_sent(c) != 0 ? c->code_sent : WSR_CLOSE_ABNORMAL;
}

static bool is_utf8(wsr_slice s)
{
    wsr_text_state state = {0};
    return s.len == 0 || (wsr_utf8(&state, s.ptr, s.len) && state.pending == 0);
}

int wsr_close_payload_parse(wsr_slice payload, wsr_role peer, uint16_t *code, wsr_slice *reason)
{
    if (payload.len > WSR_CLOSE_REASON_MAX + 2)
        return WSR_ECONTROL_LENGTH;
    if (payload.len == 0) {
        /* "If this Close control frame contains no status code, _The WebSocket Connection Close Code_ is considered to
           be 1005." (7.1.5) */
        *code = WSR_CLOSE_NO_STATUS;
        *reason = payload;
        return 0;
    }
    /* "If there is a body, the first two bytes of the body MUST be a 2-byte unsigned integer (in network byte order)" */
    if (payload.len == 1)
        return WSR_ECLOSE_LENGTH;
    const uint16_t got = (uint16_t)(payload.ptr[0] << 8 | payload.ptr[1]);
    if (!wsr_close_may_receive(got, peer))
        return WSR_ECLOSE_CODE;
    const wsr_slice rest = {payload.ptr + 2, payload.len - 2};
    if (!is_utf8(rest))
        return WSR_ECLOSE_REASON;
    *code = got;
    *reason = rest;
    return 0;
}

int wsr_close_payload_check(uint16_t code, wsr_slice reason, wsr_role role)
{
    if (code == 0 || code == WSR_CLOSE_NO_STATUS)
        return reason.len == 0 ? 0 : WSR_EBADCODE;
    if (!wsr_close_may_send(code, role))
        return WSR_EBADCODE;
    if (reason.len > WSR_CLOSE_REASON_MAX)
        return WSR_ETOOBIG;
    return is_utf8(reason) ? 0 : WSR_EBADUTF8;
}

unsigned wsr_close_payload_encode(uint8_t *out, uint16_t code, wsr_slice reason)
{
    if (code == WSR_CLOSE_NO_STATUS) {
        assert(reason.len == 0);
        return 0;
    }
    assert(reason.len <= WSR_CLOSE_REASON_MAX && wsr_close_lookup(code)->may_send);
    out[0] = (uint8_t)(code >> 8);
    out[1] = (uint8_t)code;
    if (reason.len > 0)
        memcpy(out + 2, reason.ptr, reason.len);
    return 2 + (unsigned)reason.len;
}
