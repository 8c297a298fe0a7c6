/*
 * tests/fuzz/fuzz_extension.c - the value of Sec-WebSocket-Extensions, as an offer and as an answer: read without a stray byte; and
 * what a server makes of any offer is within its config, and a good answer to a client that would take anything.
 *
 * Input: four bytes of config, then the header's value; a line feed divides it into several lines.
 */
#include "fuzz/check.h"
#include "proto/deflate_offer.h"
#include "proto/extension.h"

static wsr_deflate config_of(struct input *in)
{
    uint8_t options = input_byte(in), bits = input_byte(in);
    return (wsr_deflate){
        .on = true,
        .send_takeover = (options & 1) != 0,
        .receive_takeover = (options & 2) != 0,
        .send_window_bits = (options & 4) != 0 ? (uint8_t)(8 + (bits & 7)) : 0,
        .receive_window_bits = (options & 8) != 0 ? (uint8_t)(8 + (bits >> 4 & 7)) : 0,
    };
}

/* Every extension and parameter lies within the list, and is walked over twice alike. */
static void walk(wsr_slice list)
{
    const uint8_t *begin = list.ptr, *end = list.ptr + list.len;
    struct wsr_extension extension;
    int next;
    unsigned n = 0;
    while ((next = wsr_extension_next(&list, &extension)) > 0) {
        CHECK(extension.name.len > 0 && extension.name.ptr >= begin && extension.name.ptr + extension.name.len <= end);
        CHECK(wsr_http_is_token(extension.name));
        struct wsr_extension_param param;
        while (wsr_extension_param_next(&extension.params, &param)) {
            CHECK(wsr_http_is_token(param.name));
            CHECK(param.value.ptr == NULL || (param.value.len > 0 && param.value.ptr > begin && param.value.ptr + param.value.len <= end));
        }
        CHECK(++n <= (size_t)(end - begin));
    }
    CHECK(next < 0 || list.len == 0);
}

static bool way_valid(struct wsr_deflate_way way)
{
    return way.window_bits >= 8 && way.window_bits <= 15;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    wsr_deflate server = config_of(&in), client = config_of(&in);
    wsr_header headers[8];
    struct wsr_http_head head = {.headers = headers};
    size_t len = in.len;
    uint8_t *copy = copy_of(in.p, len), *p = copy, *end = copy + len;
    while (head.headers_n < 8 && p <= end) {
        uint8_t *line_end = len > 0 ? memchr(p, '\n', (size_t)(end - p)) : NULL;
        line_end = line_end != NULL ? line_end : end;
        headers[head.headers_n++] = (wsr_header){WSR_SLICE("Sec-WebSocket-Extensions"), {p, (size_t)(line_end - p)}};
        walk(headers[head.headers_n - 1].value);
        p = line_end + 1;
    }

    struct wsr_deflate_agreed agreed, again;
    wsr_deflate_choose(&head, &server, &agreed);
    if (agreed.on) {
        CHECK(way_valid(agreed.send) && way_valid(agreed.receive));
        CHECK(!agreed.send.takeover || server.send_takeover);
        CHECK(!agreed.receive.takeover || server.receive_takeover);
        CHECK(server.send_window_bits == 0 || agreed.send.window_bits <= server.send_window_bits);
        CHECK(!agreed.receive.takeover || server.receive_window_bits == 0 || agreed.receive.window_bits <= server.receive_window_bits);
        /* and the answer says so, to one who would take anything */
        uint8_t text[WSR_DEFLATE_TEXT_MAX];
        struct wsr_http_out out = {text, sizeof text, 0};
        wsr_deflate_write_answer(&out, &agreed);
        CHECK(out.len <= sizeof text);
        wsr_deflate any = {.on = true, .send_takeover = true, .receive_takeover = true};
        wsr_header answer = {WSR_SLICE("sec-websocket-extensions"), {text, out.len}};
        struct wsr_http_head answer_head = {.headers = &answer, .headers_n = 1};
        CHECK(wsr_deflate_judge_answer(&answer_head, &any, &again) == WSR_OK);
        CHECK(again.on && again.send.takeover == agreed.receive.takeover && again.send.window_bits == agreed.receive.window_bits);
        CHECK(again.receive.takeover == agreed.send.takeover && again.receive.window_bits == agreed.send.window_bits);
    }
    if (wsr_deflate_judge_answer(&head, &client, &agreed) == WSR_OK) {
        CHECK(agreed.on && way_valid(agreed.send) && way_valid(agreed.receive));
        CHECK(!agreed.send.takeover || client.send_takeover);
        CHECK(!agreed.receive.takeover || client.receive_takeover);
        CHECK(client.send_window_bits == 0 || agreed.send.window_bits <= client.send_window_bits);
        CHECK(client.receive_window_bits == 0 || agreed.receive.window_bits <= client.receive_window_bits);
    }
    free(copy);
    return 0;
}
