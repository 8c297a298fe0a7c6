/*
 * proto/upgrade.h - what the opening handshake says: judging a request and an answer (RFC 6455 section 4).
 *
 * Pure functions over a split head (proto/http.h). No allocation, no state, no input or output. What it is not: the writing of
 * either (proto/upgrade_write.h), the collecting of bytes and the dealings with an endpoint (proto/handshake.h).
 */
#ifndef WSR_PROTO_UPGRADE_H
#define WSR_PROTO_UPGRADE_H

#include "proto/http.h"
#include "proto/key.h"

#define WSR_SUBPROTOCOLS_MAX 64u /* that one request may offer: each is compared with each */

/* --- a server's side --- */

/* What a good request says. */
struct wsr_upgrade {
    wsr_request request;          /* subprotocols: of the first such line; subprotocol: chosen from `spoken` */
    wsr_slice key;                /* WSR_KEY_LEN bytes */
    unsigned subprotocol_lines;   /* of Sec-WebSocket-Protocol */
    size_t subprotocol_bytes;     /* their values joined by ", " */
};

/*
 * Judges a request, and chooses the first of `spoken` (comma-separated, the server's order of preference) that is
 * offered. Returns 0, or -refusal. Of extensions the syntax is checked; choosing among them is proto/deflate_offer.h's.
 */
WSR_MUST_USE int wsr_upgrade_judge_request(const struct wsr_http_head *head, wsr_slice spoken, struct wsr_upgrade *out);

/* Joins the Sec-WebSocket-Protocol values of a good request: writes upgrade.subprotocol_bytes bytes. */
void wsr_upgrade_join_subprotocols(const struct wsr_http_head *head, uint8_t *out);

/* --- a client's side --- */

/*
 * Judges an answer. Returns 0 with response filled in; WSR_EREFUSED for a status other than 101; WSR_EANSWER for a 101
 * that does not answer what was asked: Upgrade, Connection, accept value, subprotocol (extensions: proto/deflate_offer.h).
 */
WSR_MUST_USE int wsr_upgrade_judge_response(const struct wsr_http_head *head, const uint8_t accept[WSR_ACCEPT_LEN], wsr_slice offered,
                                            wsr_response *response);

/* --- checks of what an application says: no CR, LF, NUL or other break-out can pass --- */

bool wsr_upgrade_host_valid(wsr_slice host);                 /* host [":" port], RFC 9110 section 7.2, not empty */
bool wsr_upgrade_target_valid(wsr_slice target);             /* begins with "/" */
bool wsr_upgrade_subprotocols_valid(wsr_slice subprotocols); /* empty, or a list of different tokens */
bool wsr_upgrade_headers_valid(wsr_slice headers);           /* whole lines, none of which the handshake writes itself */
bool wsr_upgrade_offers(wsr_slice subprotocols, wsr_slice one); /* is it in the list, exactly? */

#endif
