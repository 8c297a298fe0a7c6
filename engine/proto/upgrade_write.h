/*
 * proto/upgrade_write.h - the heads that a handshake sends: a client's request, a server's 101, a refusal (RFC 6455
 * section 4, RFC 9110 section 15).
 *
 * Each writes into a wsr_http_out; run it with cap 0 to learn the length. Pure. What an application supplies has passed
 * the checks of proto/upgrade.h before it comes here.
 */
#ifndef WSR_PROTO_UPGRADE_WRITE_H
#define WSR_PROTO_UPGRADE_WRITE_H

#include "proto/http.h"
#include "proto/key.h"

/* What a client asks for. Each part has passed the check that goes with it in proto/upgrade.h. */
struct wsr_upgrade_ask {
    wsr_slice host;         /* with the port, unless it is the scheme's */
    wsr_slice target;
    wsr_slice subprotocols; /* empty for none */
    wsr_slice extensions;   /* likewise */
    wsr_slice headers;      /* further lines */
};

void wsr_upgrade_write_request(struct wsr_http_out *out, const struct wsr_upgrade_ask *ask, const uint8_t key[WSR_KEY_LEN]);

/* Writes the 101. subprotocol and extensions may be empty; headers: whole lines. */
void wsr_upgrade_write_accept(struct wsr_http_out *out, const uint8_t accept[WSR_ACCEPT_LEN], wsr_slice subprotocol, wsr_slice extensions,
                              wsr_slice headers);

/* Writes the answer to a bad request: its status and headers, and a line of text, left out if the method is HEAD. */
void wsr_upgrade_write_refusal(struct wsr_http_out *out, wsr_refusal refusal, bool is_head);

/* Writes an application's answer. status 300 to 599; headers as above. */
void wsr_upgrade_write_response(struct wsr_http_out *out, unsigned status, wsr_slice headers, wsr_slice body);

#endif
