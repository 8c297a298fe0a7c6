/*
 * tests/lib/box.c - see box.h.
 */
#include "lib/box.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conn/engine.h"
#include "proto/permessage.h"
#include "tls/crypto.h"

int box_sha1_error;

static int sha1(const uint8_t *in, size_t len, uint8_t out[20])
{
    return box_sha1_error != 0 ? box_sha1_error : wsr_crypto_sha1(in, len, out);
}

/* "the sample nonce", over and over */
static int sample(void *context, uint8_t *out, size_t n)
{
    const struct box *box = context;
    for (size_t i = 0; i < n; i++)
        out[i] = (uint8_t)"the sample nonce"[i % 16];
    return box->random_error;
}

static bool fails_now(struct box *box)
{
    box->allocations++;
    return box->fail_at != 0 && (box->fail_for_good ? box->allocations >= box->fail_at : box->allocations == box->fail_at);
}

static void *box_alloc(void *context, size_t size)
{
    struct box *box = context;
    return fails_now(box) ? NULL : malloc(size);
}

static void *box_resize(void *context, void *ptr, size_t old_size, size_t size)
{
    struct box *box = context;
    (void)old_size;
    return fails_now(box) ? NULL : realloc(ptr, size);
}

static void box_release(void *context, void *ptr, size_t size)
{
    (void)context;
    (void)size;
    free(ptr);
}

static const uint32_t epoch = 1;

int box_open(struct box *box, const wsr_endpoint_config *config)
{
    box->allocator = (wsr_allocator){box, box_alloc, box_resize, box_release};
    if (box->batch_cap == 0)
        box->batch_cap = 8;
    int error = wsr_env_init(&box->env, &config->limits, &box->allocator, NULL, 0);
    assert_int_equal(error, WSR_OK);
    if (box->fail_for_good)
        box->env.pool.kept_bytes_max = 1;
    wsr_env_codecs(&box->env);
    box->env.sha1 = sha1;
    box->env.random = sample;
    box->env.random_context = box;
    wsr_keypool_init(&box->env.keys, sample, box, &epoch);
    return wsr_endpoint_init(&box->ep, &box->env, config, 0);
}

/* Everything goes back to the pool, and the pool to the allocator. */
void box_close(struct box *box)
{
    wsr_endpoint_fini(&box->ep);
    wsr_env_release(&box->env);
    wsr_permessage_release(&box->env);
    assert_int_equal(box->env.pool.out_bytes, 0);
    wsr_env_fini(&box->env);
    vectors_bytes_free(&box->seen);
    vectors_bytes_free(&box->sent);
}

static void note(struct box *box, const char *name, wsr_slice value)
{
    vectors_append(&box->seen, name, strlen(name));
    if (value.len != 0)
        vectors_append(&box->seen, " ", 1);
    for (size_t i = 0; i < value.len; i++) {
        char text[5];
        uint8_t c = value.ptr[i];
        if (c == '\t')
            (void)snprintf(text, sizeof text, "\\t");
        else
            (void)snprintf(text, sizeof text, c < ' ' || c > '~' ? "\\x%02x" : "%c", c);
        vectors_append(&box->seen, text, strlen(text));
    }
    vectors_append(&box->seen, "\n", 1);
}

static void note_number(struct box *box, const char *name, unsigned number)
{
    char text[64];
    int len = snprintf(text, sizeof text, "%s %u\n", name, number);
    vectors_append(&box->seen, text, (size_t)len);
}

static void note_request(struct box *box, const char *kind, const wsr_request *request)
{
    assert_non_null(request);
    note(box, kind, (wsr_slice){NULL, 0});
    note(box, "target", request->target);
    note(box, "path", request->path);
    note(box, "query", request->query);
    note(box, "host", request->host);
    note(box, request->origin.ptr != NULL ? "origin" : "no origin", request->origin);
    note(box, request->subprotocols.ptr != NULL ? "offered" : "nothing offered", request->subprotocols);
    note(box, "subprotocol", request->subprotocol);
    note_number(box, "headers", request->headers_n);
    for (unsigned i = 0; i < request->headers_n; i++) {
        note(box, "header", request->headers[i].name);
        note(box, " ", request->headers[i].value);
    }
}

static void note_headers(struct box *box, const wsr_response *response)
{
    note_number(box, "headers", response->headers_n);
    for (unsigned i = 0; i < response->headers_n; i++) {
        note(box, "header", response->headers[i].name);
        note(box, " ", response->headers[i].value);
    }
}

static void note_response(struct box *box, const wsr_response *response)
{
    assert_non_null(response);
    note_number(box, "open", response->status);
    note(box, "subprotocol", response->subprotocol);
    note_headers(box, response);
}

static void note_closed(struct box *box, const wsr_event *event)
{
    char text[64];
    const wsr_close_record *record = wsr_event_close_record(event);
    (void)snprintf(text, sizeof text, "closed %s", wsr_error_name(event->error));
    note_number(box, text, record->http_status);
    if (record->answer == NULL)
        return;
    assert_int_equal(record->answer->status, record->http_status);
    assert_true(record->answer->body.len <= WSR_RESPONSE_BODY_MAX);
    note_headers(box, record->answer);
    note(box, "body", record->answer->body);
}

static void note_event(struct box *box, const wsr_event *event)
{
    wsr_slice data = {event->data.ptr, event->data.len};
    switch (event->type) {
    case WSR_EVENT_OPEN:
        if (wsr_endpoint_role(&box->ep) == WSR_SERVER)
            note_request(box, "open", wsr_event_request(event));
        else
            note_response(box, wsr_event_response(event));
        break;
    case WSR_EVENT_REQUEST:
        note_request(box, "request", wsr_event_request(event));
        break;
    case WSR_EVENT_MESSAGE:
        note(box, event->opcode == WSR_TEXT ? "text" : "binary", data);
        break;
    case WSR_EVENT_CLOSED:
        note_closed(box, event);
        break;
    default:
        note_number(box, "event", event->type);
    }
}

void box_flush(struct box *box, uint64_t now_ns)
{
    if (box->env.pool.out_bytes > box->out_bytes_peak)
        box->out_bytes_peak = box->env.pool.out_bytes;
    wsr_slice slices[4];
    unsigned n;
    while ((n = wsr_endpoint_drain(&box->ep, slices, 4)) != 0) {
        size_t bytes = 0;
        for (unsigned i = 0; i < n; i++) {
            vectors_append(&box->sent, slices[i].ptr, slices[i].len);
            bytes += slices[i].len;
        }
        wsr_endpoint_sent(&box->ep, now_ns, bytes);
    }
    wsr_env_release(&box->env);
}

static void end_batch(struct box *box, const struct wsr_batch *batch)
{
    for (unsigned i = 0; i < batch->n; i++)
        note_event(box, &batch->ev[i]);
    box_flush(box, batch->now_ns);
}

size_t box_feed(struct box *box, uint64_t now_ns, uint8_t *p, size_t len)
{
    size_t done = 0;
    for (;;) {
        wsr_event ev[16];
        struct wsr_batch batch = {ev, box->batch_cap, 0, now_ns};
        size_t took = wsr_endpoint_take(&box->ep, &batch, p + done, len - done);
        done += took;
        end_batch(box, &batch);
        if (done == len || (took == 0 && batch.n == 0))
            return done;
    }
}

void box_feed_text(struct box *box, uint64_t now_ns, const char *text)
{
    size_t len = strlen(text);
    uint8_t *copy = malloc(len + 1);
    assert_non_null(copy);
    memcpy(copy, text, len);
    assert_int_equal(box_feed(box, now_ns, copy, len), len);
    free(copy);
}

void box_tick(struct box *box, uint64_t now_ns)
{
    wsr_event ev[16];
    struct wsr_batch batch = {ev, box->batch_cap, 0, now_ns};
    wsr_endpoint_time(&box->ep, &batch);
    end_batch(box, &batch);
}

void box_eof(struct box *box, uint64_t now_ns)
{
    wsr_event ev[16];
    struct wsr_batch batch = {ev, box->batch_cap, 0, now_ns};
    wsr_endpoint_ended(&box->ep, &batch, WSR_ETRUNCATED, 0);
    end_batch(box, &batch);
}

void box_expect_seen(const struct box *box, const char *line)
{
    if (!vectors_has_line(&box->seen, line))
        fail_msg("not seen: %s\nbut:\n%s", line, vectors_string(&box->seen));
}

void box_expect_sent(const struct box *box, const char *bytes)
{
    if (strcmp(vectors_string(&box->sent), bytes) != 0)
        fail_msg("not sent: %s\nbut:\n%s", bytes, vectors_string(&box->sent));
}
