/*
 * proto/deflate_offer.c - see deflate_offer.h. RFC 7692 sections 5 (negotiation) and 7.1 (the four parameters).
 */
#include "proto/deflate_offer.h"

#include "proto/deflate.h"
#include "proto/extension.h"

#define NAME WSR_SLICE("permessage-deflate")

/* The parameters of one offer or answer, as they stand there. */
struct params {
    bool server_no_takeover, client_no_takeover;
    bool has_client_bits;
    uint8_t server_bits; /* 0: not there */
    uint8_t client_bits; /* 0: not there, or without a value */
};

static uint8_t bits_of(uint8_t configured)
{
    return configured != 0 ? configured : WSR_WINDOW_BITS_MAX;
}

static uint8_t smaller(uint8_t a, uint8_t b)
{
    return a < b ? a : b;
}

static bool bits_valid(uint8_t bits)
{
    return bits == 0 || (bits >= WSR_WINDOW_BITS_MIN && bits <= WSR_WINDOW_BITS_MAX);
}

bool wsr_deflate_config_valid(const wsr_deflate *config)
{
    return config->level <= 9 && bits_valid(config->send_window_bits) && bits_valid(config->receive_window_bits);
}

/* --- reading --- */

/* "a decimal integer value without leading zeroes between 8 to 15 inclusive" (7.1.2.1); 0 if it is not. */
static uint8_t read_bits(wsr_slice value)
{
    unsigned bits = 0, digits = 0;
    for (size_t i = 0; i < value.len; i++) {
        uint8_t c = value.ptr[i];
        if (c == '\\') /* of a quoted string; what it quotes comes next */
            continue;
        if (c < '0' || c > '9' || (c == '0' && digits == 0) || ++digits > 2)
            return 0;
        bits = bits * 10 + (c - '0');
    }
    return bits >= WSR_WINDOW_BITS_MIN && bits <= WSR_WINDOW_BITS_MAX ? (uint8_t)bits : 0;
}

/* A parameter that has no value, and is there once. */
static bool take_flag(bool *flag, const struct wsr_extension_param *param)
{
    bool good = !*flag && param->value.ptr == NULL;
    *flag = true;
    return good;
}

static bool take_param(struct params *params, const struct wsr_extension_param *param)
{
    if (wsr_http_equal(param->name, WSR_SLICE("server_no_context_takeover")))
        return take_flag(&params->server_no_takeover, param);
    if (wsr_http_equal(param->name, WSR_SLICE("client_no_context_takeover")))
        return take_flag(&params->client_no_takeover, param);
    if (wsr_http_equal(param->name, WSR_SLICE("server_max_window_bits"))) {
        if (params->server_bits != 0)
            return false;
        params->server_bits = read_bits(param->value);
        return params->server_bits != 0;
    }
    if (wsr_http_equal(param->name, WSR_SLICE("client_max_window_bits"))) {
        if (params->has_client_bits)
            return false;
        params->has_client_bits = true;
        params->client_bits = read_bits(param->value);
        return params->client_bits != 0 || param->value.ptr == NULL;
    }
    return false;
}

/* False: a parameter is unknown, there twice, or has a value that it must not have. */
static bool read_params(wsr_slice list, struct params *params)
{
    *params = (struct params){0};
    struct wsr_extension_param param;
    while (wsr_extension_param_next(&list, &param)) {
        if (!take_param(params, &param))
            return false;
    }
    return true;
}

static bool is_extensions(const wsr_header *header)
{
    return wsr_http_equal_nocase(header->name, WSR_SLICE("sec-websocket-extensions"));
}

/* --- a server --- */

/*
 * What a server with this config makes of an offer that is well-formed. There is none it could not meet: windows are made
 * smaller for whoever asks, and the client that cannot make its own smaller is told not to use history.
 */
static void meet(const struct params *offer, const wsr_deflate *config, struct wsr_deflate_agreed *agreed)
{
    uint8_t receive_bits = bits_of(config->receive_window_bits);
    agreed->on = true;
    agreed->send_bits_asked = offer->server_bits != 0;
    agreed->send.window_bits = bits_of(config->send_window_bits);
    if (offer->server_bits != 0)
        agreed->send.window_bits = smaller(agreed->send.window_bits, offer->server_bits);
    agreed->send.takeover = config->send_takeover && !offer->server_no_takeover;
    /* "If a received extension negotiation offer doesn't have the 'client_max_window_bits' extension parameter, the
     * corresponding extension negotiation response [...] MUST NOT include" it (7.1.2.2). */
    agreed->receive.window_bits = WSR_WINDOW_BITS_MAX;
    if (offer->has_client_bits)
        agreed->receive.window_bits = smaller(receive_bits, bits_of(offer->client_bits));
    agreed->receive.takeover = config->receive_takeover && !offer->client_no_takeover && agreed->receive.window_bits <= receive_bits;
}

void wsr_deflate_choose(const struct wsr_http_head *head, const wsr_deflate *config, struct wsr_deflate_agreed *agreed)
{
    *agreed = (struct wsr_deflate_agreed){0};
    for (unsigned i = 0; config->on && !agreed->on && i < head->headers_n; i++) {
        wsr_slice list = head->headers[i].value;
        struct wsr_extension extension;
        struct params offer;
        if (!is_extensions(&head->headers[i]))
            continue;
        while (!agreed->on && wsr_extension_next(&list, &extension) > 0) {
            if (wsr_http_equal(extension.name, NAME) && read_params(extension.params, &offer))
                meet(&offer, config, agreed);
        }
    }
}

/* --- writing --- */

static void put_bits(struct wsr_http_out *out, wsr_slice name, uint8_t bits)
{
    uint8_t digits[2] = {(uint8_t)('0' + bits / 10), (uint8_t)('0' + bits % 10)};
    wsr_http_put(out, name);
    wsr_http_put(out, bits < 10 ? (wsr_slice){digits + 1, 1} : (wsr_slice){digits, 2});
}

static void put_takeover(struct wsr_http_out *out, bool server, bool client)
{
    wsr_http_put(out, NAME);
    if (!server)
        wsr_http_put(out, WSR_SLICE("; server_no_context_takeover"));
    if (!client)
        wsr_http_put(out, WSR_SLICE("; client_no_context_takeover"));
}

/* A window that nobody speaks of is the largest. */
void wsr_deflate_write_answer(struct wsr_http_out *out, const struct wsr_deflate_agreed *agreed)
{
    put_takeover(out, agreed->send.takeover, agreed->receive.takeover);
    /* "A server accepts an extension negotiation offer with this parameter by including" it (7.1.2.1), be it 15. */
    if (agreed->send_bits_asked || agreed->send.window_bits != WSR_WINDOW_BITS_MAX)
        put_bits(out, WSR_SLICE("; server_max_window_bits="), agreed->send.window_bits);
    if (agreed->receive.window_bits != WSR_WINDOW_BITS_MAX)
        put_bits(out, WSR_SLICE("; client_max_window_bits="), agreed->receive.window_bits);
}

void wsr_deflate_write_offer(struct wsr_http_out *out, const wsr_deflate *config)
{
    uint8_t server_bits = bits_of(config->receive_window_bits), client_bits = bits_of(config->send_window_bits);
    put_takeover(out, config->receive_takeover, config->send_takeover);
    if (server_bits != WSR_WINDOW_BITS_MAX)
        put_bits(out, WSR_SLICE("; server_max_window_bits="), server_bits);
    if (client_bits != WSR_WINDOW_BITS_MAX)
        put_bits(out, WSR_SLICE("; client_max_window_bits="), client_bits);
    else /* any will do; if this were not said, the server could not ask for a smaller one */
        wsr_http_put(out, WSR_SLICE("; client_max_window_bits"));
}

/* --- a client --- */

/* The parameters of an answer to the offer that config made: does the server keep to it? */
static int accept_params(const struct params *answer, const wsr_deflate *config, struct wsr_deflate_agreed *agreed)
{
    uint8_t receive_bits = bits_of(config->receive_window_bits), send_bits = bits_of(config->send_window_bits);
    uint8_t server_bits = bits_of(answer->server_bits), client_bits = bits_of(answer->client_bits);
    /* "A server accepts an extension negotiation offer that includes" one of these two "by including" it (7.1.1.1, 7.1.2.1). */
    if (!config->receive_takeover && !answer->server_no_takeover)
        return WSR_EANSWER;
    if (server_bits > receive_bits)
        return WSR_EANSWER;
    /* In an answer it has a value, "the same or smaller" as the offer's (7.1.2.2). */
    if (answer->has_client_bits && (answer->client_bits == 0 || client_bits > send_bits))
        return WSR_EANSWER;
    agreed->on = true;
    agreed->send.window_bits = smaller(send_bits, client_bits);
    agreed->send.takeover = config->send_takeover && !answer->client_no_takeover;
    agreed->receive.window_bits = server_bits;
    agreed->receive.takeover = !answer->server_no_takeover;
    return WSR_OK;
}

int wsr_deflate_judge_answer(const struct wsr_http_head *head, const wsr_deflate *config, struct wsr_deflate_agreed *agreed)
{
    *agreed = (struct wsr_deflate_agreed){0};
    for (unsigned i = 0; i < head->headers_n; i++) {
        if (!is_extensions(&head->headers[i]))
            continue;
        wsr_slice list = head->headers[i].value;
        struct wsr_extension extension;
        struct params answer;
        int next;
        bool any = false;
        while ((next = wsr_extension_next(&list, &extension)) > 0) {
            any = true;
            /* RFC 6455 section 4.1 item 5: "an extension that was not present in the client's handshake"; nor one twice */
            if (!config->on || agreed->on || !wsr_http_equal(extension.name, NAME) || !read_params(extension.params, &answer))
                return WSR_EANSWER;
            int error = accept_params(&answer, config, agreed);
            if (error < 0)
                return error;
        }
        if (next < 0 || !any)
            return WSR_EANSWER;
    }
    return WSR_OK;
}
