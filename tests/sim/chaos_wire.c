/*
 * tests/sim/chaos_wire.c - reads along what engines put on the wire: a handshake, then whole frames, masked by clients alone
 * (RFC 6455 section 5.1), and nothing behind a Close (section 5.5.1).
 *
 * It does not judge what frames say: the engine at the other end does that, and would fail the connection.
 */
#include "sim/chaos.h"

#include "proto/frame.h"

/* The end of a head; what follows a request or a 101 are frames. Returns how many bytes it took. */
static size_t http(struct chaos_wire *wire, const uint8_t *p, size_t len, bool from_client)
{
    for (size_t i = 0; i < len; i++) {
        if (wire->head_len < 10 && ++wire->head_len == 10) /* "HTTP/1.1 1", if it is an answer */
            wire->refused = !from_client && p[i] != '1';
        const char wanted = (wire->newlines & 1) == 0 ? '\r' : '\n';
        wire->newlines = p[i] == wanted ? (uint8_t)(wire->newlines + 1) : p[i] == '\r';
        if (wire->newlines == 4) {
            wire->http_done = true;
            wire->head_len = 0;
            return i + 1;
        }
    }
    return len;
}

static void frame_begins(struct chaos_wire *wire, const wsr_frame_header *header, bool from_client)
{
    const unsigned opcode = header->first & 15u;
    if (header->masked != from_client)
        sim_violation("a frame of a %s is %smasked", from_client ? "client" : "server", header->masked ? "" : "not ");
    wire->left = header->payload_len;
    wire->frames++;
    wire->closed = opcode == WSR_CLOSE;
}

static void frame_ends(struct chaos_wire *wire)
{
    wire->messages += (wire->head[0] & 0x88) == 0x80; /* FIN, and not a control frame */
    wire->head_len = 0;
}

static size_t frames(struct chaos_wire *wire, const uint8_t *p, size_t len, bool from_client)
{
    if (wire->left > 0) {
        size_t n = len < wire->left ? len : (size_t)wire->left;
        wire->left -= n;
        if (wire->left == 0)
            frame_ends(wire);
        return n;
    }
    if (wire->closed)
        sim_violation("%zu bytes behind the Close of a %s", len, from_client ? "client" : "server");
    wire->head[wire->head_len++] = *p;
    wsr_frame_header header;
    int n = wsr_frame_header_decode((wsr_slice){wire->head, wire->head_len}, &header);
    if (n < 0)
        sim_violation("a frame header of a %s is wrong: %s", from_client ? "client" : "server", wsr_error_name(n));
    if (n > 0) {
        frame_begins(wire, &header, from_client);
        if (wire->left == 0)
            frame_ends(wire);
    }
    return 1;
}

static void pass(uint16_t port, bool from_client, const uint8_t *p, size_t len)
{
    struct chaos_life *life = chaos_life_of_port(port);
    if (life == NULL || life->plan == CHAOS_REFUSER || (life->plan == CHAOS_STRANGER && from_client))
        return; /* of no engine, or no handshake is ever done there */
    struct chaos_wire *wire = from_client ? &life->from_client : &life->from_server;
    while (len > 0 && !(wire->http_done && wire->refused)) {
        size_t n = wire->http_done ? frames(wire, p, len, from_client) : http(wire, p, len, from_client);
        p += n;
        len -= n;
    }
}

void chaos_wire_watch(void)
{
    sim_on_bytes = pass;
}
