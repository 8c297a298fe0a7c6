/*
 * proto/deflate_offer.h - what the two ends agree on about permessage-deflate (RFC 7692 sections 5 and 7.1): a client's offer, the
 * server's choice among offers, the client's look at the answer.
 *
 * Pure, over split heads (proto/http.h). The grammar of the header is proto/extension.h's; compressing is not here.
 */
#ifndef WSR_PROTO_DEFLATE_OFFER_H
#define WSR_PROTO_DEFLATE_OFFER_H

#include <wsring/endpoint.h>

#include "proto/http.h"

/* One direction of a connection. */
struct wsr_deflate_way {
    uint8_t window_bits; /* 8 to 15 */
    bool takeover;       /* a message may refer back to those before it */
};

struct wsr_deflate_agreed {
    bool on; /* if not, the rest says nothing */
    bool send_bits_asked; /* the offer said send.window_bits or more, so a server's answer has to say it */
    struct wsr_deflate_way send, receive;
};

/* Any text here fits: "permessage-deflate", four parameters, two numbers. */
#define WSR_DEFLATE_TEXT_MAX 160u

/* Is every field in its range? All zero is. */
bool wsr_deflate_config_valid(const wsr_deflate *config);

/* A client's offer: the value of its Sec-WebSocket-Extensions. */
void wsr_deflate_write_offer(struct wsr_http_out *out, const wsr_deflate *config);

/*
 * A server's choice: the first offer in a good request (its extension lines well-formed) that can be met. One with a
 * parameter that is unknown, twice there or out of its range is declined. None, or config->on false: agreed->on is false.
 */
void wsr_deflate_choose(const struct wsr_http_head *head, const wsr_deflate *config, struct wsr_deflate_agreed *agreed);

/* The server's answer to it: the value of its Sec-WebSocket-Extensions. */
void wsr_deflate_write_answer(struct wsr_http_out *out, const struct wsr_deflate_agreed *agreed);

/*
 * A client's look at the answer to the offer that config made; none at all is a good one. Returns 0, or WSR_EANSWER if it is
 * malformed, accepts what was not offered, or does not keep to the offer: then the connection must be failed (section 7.1).
 */
WSR_MUST_USE int wsr_deflate_judge_answer(const struct wsr_http_head *head, const wsr_deflate *config, struct wsr_deflate_agreed *agreed);

#endif
