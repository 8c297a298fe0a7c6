/*
 * tests/fuzz/fuzz_proxy.c - what a proxy says to a client: understood the same wherever it is cut and whenever our own bytes are
 * reported as sent, bounded, without a byte of the target's taken; and what is said for a person is one line of text.
 *
 * Input: a byte of options, one of how the answers are cut, then the answers.
 */
#include "fuzz/check.h"
#include "proto/proxy.h"

#define TEXT(literal) ((wsr_slice){(const uint8_t *)(literal), sizeof(literal) - 1})

static struct wsr_proxy_ask ask_of(uint8_t options)
{
    struct wsr_proxy_ask ask = {.kind = (options & 1) != 0 ? WSR_PROXY_SOCKS5 : WSR_PROXY_CONNECT, .host = TEXT("example.com"), .port = 443};
    if ((options & 2) != 0)
        ask.user = TEXT("me"), ask.password = TEXT("pass");
    if ((options & 4) != 0)
        ask.host = TEXT("::1"), ask.address = TEXT("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1");
    return ask;
}

/* What flies stays where it is and as it is, until it was sent. */
struct flying {
    wsr_slice shown;
    uint8_t copy[WSR_PROXY_TEXT_MAX];
};

static void show(struct wsr_proxy *proxy, struct flying *flying)
{
    flying->shown = wsr_proxy_pending(proxy);
    CHECK(flying->shown.len <= sizeof flying->copy);
    memcpy(flying->copy, flying->shown.ptr, flying->shown.len);
}

static void land(struct wsr_proxy *proxy, struct flying *flying)
{
    CHECK(memcmp(flying->copy, flying->shown.ptr, flying->shown.len) == 0);
    wsr_proxy_sent(proxy, flying->shown.len);
    flying->shown.len = 0;
}

/* Answers in pieces; returns how many bytes were taken. */
static size_t play(struct wsr_proxy *proxy, const struct wsr_proxy_ask *ask, struct input in, size_t piece, bool late)
{
    struct flying flying;
    CHECK(wsr_proxy_start(proxy, ask) == WSR_OK);
    show(proxy, &flying);
    CHECK(flying.shown.len > 0);
    size_t taken = 0;
    while (in.len > 0 && wsr_proxy_state(proxy) == WSR_PROXY_GOING) {
        if (!late)
            land(proxy, &flying);
        size_t n = piece;
        const uint8_t *p = input_bytes(&in, &n);
        uint8_t *copy = n > 4 ? copy_of(p, n) : NULL; /* a byte too far shows in the larger pieces; small ones are many */
        const size_t took = wsr_proxy_take(proxy, copy != NULL ? copy : p, n);
        free(copy);
        CHECK(took <= n && (took == n || wsr_proxy_state(proxy) != WSR_PROXY_GOING));
        taken += took;
        land(proxy, &flying);
        show(proxy, &flying);
    }
    return taken;
}

static void check_end(const struct wsr_proxy *proxy, size_t taken)
{
    const enum wsr_proxy_state state = wsr_proxy_state(proxy);
    CHECK(proxy->error == (state == WSR_PROXY_FAILED ? WSR_EPROXY : WSR_OK));
    CHECK((proxy->detail[0] != '\0') == (state == WSR_PROXY_FAILED));
    CHECK(memchr(proxy->detail, '\0', sizeof proxy->detail) != NULL);
    CHECK(strpbrk(proxy->detail, "\r\n") == NULL);
    CHECK(proxy->kind == WSR_PROXY_CONNECT || (proxy->http_status == 0 && taken <= 2 + 2 + 4 + 1 + 255 + 2));
    if (proxy->kind == WSR_PROXY_CONNECT && state == WSR_PROXY_DONE)
        CHECK(proxy->http_status / 100 == 2);
    if (state != WSR_PROXY_GOING)
        CHECK(wsr_proxy_pending(proxy).len == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    const uint8_t options = input_byte(&in);
    const size_t piece = input_byte(&in) + 1u;
    const struct wsr_proxy_ask ask = ask_of(options);
    static struct wsr_proxy whole, cut;
    const size_t taken = play(&whole, &ask, in, SIZE_MAX, false);
    check_end(&whole, taken);
    CHECK(play(&cut, &ask, in, piece, (options & 8) != 0) == taken);
    CHECK(cut.state == whole.state && cut.http_status == whole.http_status && strcmp(cut.detail, whole.detail) == 0);
    CHECK(play(&cut, &ask, in, 1, true) == taken && cut.state == whole.state);
    return 0;
}
