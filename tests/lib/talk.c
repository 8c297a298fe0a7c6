/*
 * tests/lib/talk.c - see talk.h.
 */
#include "lib/talk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <wsring/frame.h>

#define MALLOC_HEAD 16 /* keeps alignment */

static _Noreturn void die(const char *what)
{
    (void)fprintf(stderr, "talk: %s\n", what);
    abort();
}

/* ---- memory ---- */

static bool fails(struct talk_heap *heap)
{
    heap->calls++;
    return heap->calls == heap->fail_at || (heap->fail_from != 0 && heap->calls >= heap->fail_from);
}

static void *heap_alloc(void *context, size_t size)
{
    struct talk_heap *heap = context;
    if (fails(heap))
        return NULL;
    heap->bytes += size;
    if (heap->bytes > heap->peak_bytes)
        heap->peak_bytes = heap->bytes;
    return malloc(size);
}

static void *heap_resize(void *context, void *ptr, size_t old_size, size_t size)
{
    struct talk_heap *heap = context;
    if (fails(heap))
        return NULL;
    heap->bytes += size - old_size;
    if (heap->bytes > heap->peak_bytes)
        heap->peak_bytes = heap->bytes;
    return realloc(ptr, size);
}

static void heap_release(void *context, void *ptr, size_t size)
{
    struct talk_heap *heap = context;
    if (ptr == NULL || size > heap->bytes)
        die("memory released that was not taken");
    heap->bytes -= size;
    free(ptr);
}

/* ---- the text of an event ---- */

static void put(struct vectors_bytes *out, const char *text)
{
    vectors_append(out, text, strlen(text));
}

void talk_payload(struct vectors_bytes *out, const uint8_t *p, size_t len)
{
    char text[64];
    if (len == 0)
        return;
    if (len > 200) {
        uint64_t sum = UINT64_C(0xcbf29ce484222325);
        for (size_t i = 0; i < len; i++)
            sum = (sum ^ p[i]) * UINT64_C(0x100000001b3); /* FNV-1a */
        (void)snprintf(text, sizeof text, " (%zu bytes, %016llx)", len, (unsigned long long)sum);
        put(out, text);
        return;
    }
    put(out, " ");
    for (size_t i = 0; i < len; i++) {
        (void)snprintf(text, sizeof text, p[i] < ' ' || p[i] > '~' || p[i] == '\\' ? "\\x%02x" : "%c", p[i]);
        put(out, text);
    }
}

static void put_record(struct vectors_bytes *out, const wsr_close_record *r)
{
    static const char *const by[] = {"nobody", "local", "peer", "both"};
    char text[512];
    (void)snprintf(text, sizeof text,
                   "closed %u %s by %s%s, sent %u received %u, errno %d status %u, in %llu messages %llu bytes %llu frames, "
                   "out %llu messages %llu bytes %llu frames, undelivered %llu messages %llu bytes, unconfirmed %llu, reason",
                   r->code, wsr_error_name(r->cause), by[r->by & 3], r->clean ? ", clean" : "", r->code_sent, r->code_received, r->sys_errno,
                   r->http_status, (unsigned long long)r->messages_in, (unsigned long long)r->bytes_in, (unsigned long long)r->frames_in,
                   (unsigned long long)r->messages_out, (unsigned long long)r->bytes_out, (unsigned long long)r->frames_out,
                   (unsigned long long)r->messages_undelivered, (unsigned long long)r->bytes_undelivered,
                   (unsigned long long)r->messages_unconfirmed);
    put(out, text);
    talk_payload(out, (const uint8_t *)r->reason, r->reason_len);
    if (r->answer == NULL)
        return;
    if (r->answer->status != r->http_status || r->answer->body.len > WSR_RESPONSE_BODY_MAX)
        die("an answer that is not the record's");
    (void)snprintf(text, sizeof text, ", answer of %u headers", r->answer->headers_n);
    put(out, text);
    for (unsigned i = 0; i < r->answer->headers_n; i++) {
        talk_payload(out, r->answer->headers[i].name.ptr, r->answer->headers[i].name.len);
        talk_payload(out, r->answer->headers[i].value.ptr, r->answer->headers[i].value.len);
    }
    put(out, ", body");
    talk_payload(out, r->answer->body.ptr, r->answer->body.len);
}

static void take_closed(struct talk *talk, const wsr_event *event)
{
    const wsr_close_record *record = wsr_event_close_record(event);
    if (record == NULL || event->close_code != record->code || event->error != record->cause || record->reason[record->reason_len] != '\0')
        die("CLOSED and its record differ");
    talk->is_closed = true;
    talk->record = *record;
    talk->record.answer = NULL; /* gone with the batch */
    put_record(&talk->seen, record);
}

/* One more piece; the line comes with the last. False: there is no line yet. */
static bool take_chunk(struct talk *talk, const wsr_event *event)
{
    bool first = (event->flags & WSR_EVENT_FIRST) != 0, last = (event->flags & WSR_EVENT_LAST) != 0;
    if (first != (talk->chunk_opcode == 0) || (!first && event->opcode != talk->chunk_opcode))
        die("a chunk that does not follow from the one before");
    if (event->data.len == 0 && (first || !last))
        die("an empty chunk that is not the last of several");
    if (first)
        talk->chunks.len = 0;
    vectors_append(&talk->chunks, event->data.ptr, event->data.len);
    talk->chunks_n++;
    talk->chunk_opcode = last ? 0 : event->opcode;
    return last;
}

static void take_event(struct talk *talk, const wsr_event *event)
{
    static const char *const names[] = {[WSR_EVENT_OPEN] = "open",         [WSR_EVENT_REQUEST] = "request", [WSR_EVENT_MESSAGE] = "message",
                                        [WSR_EVENT_PING] = "ping",         [WSR_EVENT_PONG] = "pong",       [WSR_EVENT_WRITABLE] = "writable",
                                        [WSR_EVENT_CLOSED] = "closed"};
    if (talk->is_closed)
        die("an event after CLOSED");
    if (event->type == WSR_EVENT_NONE || (event->type > WSR_EVENT_CLOSED && event->type != WSR_EVENT_CHUNK) || event->conn != 0 || event->time_ns != talk->now_ns)
        die("an event that is none");
    talk->events++;
    if (event->type == WSR_EVENT_OPEN) {
        if (talk->is_open)
            die("OPEN twice");
        talk->is_open = true;
        put(&talk->seen, "open\n");
        return;
    }
    if (event->type == WSR_EVENT_CHUNK && !take_chunk(talk, event))
        return;
    if ((event->flags & WSR_EVENT_DEFLATED) != 0)
        talk->deflated_n++;
    if (event->type == WSR_EVENT_MESSAGE && talk->chunk_opcode != 0)
        die("a message inside another");
    if ((event->flags & WSR_EVENT_AFTER_CLOSE) != 0)
        put(&talk->seen, "late ");
    if (event->type == WSR_EVENT_CLOSED) {
        take_closed(talk, event);
    } else if (event->type == WSR_EVENT_CHUNK) {
        put(&talk->seen, wsr_opcode_name(event->opcode));
        talk_payload(&talk->seen, talk->chunks.ptr, talk->chunks.len);
    } else {
        put(&talk->seen, event->type == WSR_EVENT_MESSAGE ? wsr_opcode_name(event->opcode) : names[event->type]);
        talk_payload(&talk->seen, event->data.ptr, event->data.len);
    }
    put(&talk->seen, "\n");
}

static void take_events(struct talk *talk, wsr_event *ev, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        take_event(talk, &ev[i]);
        if (ev[i].data.len > 0 && (ev[i].type == WSR_EVENT_MESSAGE || ev[i].type == WSR_EVENT_CHUNK))
            memset(ev[i].data.ptr, 0xDD, ev[i].data.len); /* "may be changed in place by the application" */
    }
    if (!talk->blocked)
        (void)talk_flush(talk);
}

static unsigned cap_of(const struct talk *talk)
{
    return talk->cap != 0 ? talk->cap : TALK_EVENTS_MAX;
}

/* ---- life ---- */

static int counted_random(void *context, uint8_t *out, size_t n)
{
    struct talk *talk = context;
    if (talk->no_random)
        return -1;
    if (n == 16) { /* a client's nonce: the one of RFC 6455 section 1.3, whose answer is known */
        memcpy(out, "the sample nonce", 16);
        return 0;
    }
    for (size_t i = 0; i < n; i += 4) {
        uint32_t key = ++talk->random_counter * UINT32_C(2654435761);
        memcpy(out + i, &key, n - i < 4 ? n - i : 4);
    }
    return 0;
}

int talk_open_only(struct talk *talk, const wsr_endpoint_config *config)
{
    wsr_endpoint_config own = *config;
    talk->heap.allocator = (wsr_allocator){&talk->heap, heap_alloc, heap_resize, heap_release};
    own.role = talk->role;
    own.allocator = &talk->heap.allocator;
    own.random = counted_random;
    own.random_context = talk;
    if (own.host == NULL)
        own.host = "example.com";
    return wsr_endpoint_open(&talk->ep, &own, talk->now_ns);
}

void talk_handshake(struct talk *talk)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";
    static const char answer[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                 "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
    char text[1024];
    int len = snprintf(text, sizeof text, "%s%s%s%s\r\n", talk->role == WSR_SERVER ? request : answer,
                       talk->extensions != NULL ? "Sec-WebSocket-Extensions: " : "", talk->extensions != NULL ? talk->extensions : "",
                       talk->extensions != NULL ? "\r\n" : "");
    if (len < 0 || (size_t)len >= sizeof text)
        die("a handshake that does not fit");
    bool blocked = talk->blocked;
    talk->blocked = false;
    (void)talk_flush(talk); /* a client's request */
    talk_feed(talk, (const uint8_t *)text, (size_t)len);
    talk->blocked = blocked;
    talk->sent.len = 0;
}

int talk_open(struct talk *talk, const wsr_endpoint_config *config)
{
    int error = talk_open_only(talk, config);
    if (error == WSR_OK)
        talk_handshake(talk);
    return error;
}

bool talk_free(struct talk *talk)
{
    wsr_endpoint_free(talk->ep);
    talk->ep = NULL;
    vectors_bytes_free(&talk->seen);
    vectors_bytes_free(&talk->sent);
    vectors_bytes_free(&talk->chunks);
    return talk->heap.bytes == 0;
}

/* ---- in ---- */

void talk_feed(struct talk *talk, const uint8_t *p, size_t len)
{
    uint8_t *copy = malloc(len + (len == 0));
    if (copy == NULL)
        die("no memory");
    if (len > 0)
        memcpy(copy, p, len);
    size_t done = 0;
    unsigned idle = 0;
    do {
        wsr_event ev[TALK_EVENTS_MAX];
        unsigned n = 99;
        size_t consumed = SIZE_MAX;
        if (wsr_endpoint_feed(talk->ep, talk->now_ns, (wsr_span){copy + done, len - done}, ev, cap_of(talk), &n, &consumed) != WSR_OK)
            die("feed failed");
        if (n > cap_of(talk) || consumed > len - done)
            die("feed gave more than there is room or input");
        done += consumed;
        take_events(talk, ev, n);
        idle = consumed == 0 && n == 0 ? idle + 1 : 0;
        if (idle == 2) /* one is for a Close that waited for the messages before it */
            die("feed consumes nothing and says nothing");
    } while (done < len);
    free(copy);
}

void talk_feed_pieces(struct talk *talk, const uint8_t *p, size_t len, size_t piece)
{
    for (size_t at = 0; at < len; at += piece)
        talk_feed(talk, p + at, len - at < piece ? len - at : piece);
}

void talk_tick(struct talk *talk)
{
    wsr_event ev[TALK_EVENTS_MAX];
    unsigned n;
    do {
        n = 99;
        if (wsr_endpoint_tick(talk->ep, talk->now_ns, ev, cap_of(talk), &n) != WSR_OK || n > cap_of(talk))
            die("tick failed");
        take_events(talk, ev, n);
    } while (n == cap_of(talk));
}

void talk_eof(struct talk *talk, int sys_errno)
{
    wsr_event ev[TALK_EVENTS_MAX];
    unsigned n = 99;
    if (wsr_endpoint_eof(talk->ep, talk->now_ns, sys_errno, ev, cap_of(talk), &n) != WSR_OK || n > cap_of(talk))
        die("eof failed");
    take_events(talk, ev, n);
}

/* ---- out ---- */

size_t talk_take(struct talk *talk, size_t bytes)
{
    size_t took = 0;
    while (took < bytes) {
        wsr_slice slices[3], again[3];
        unsigned n = wsr_endpoint_drain(talk->ep, slices, 3);
        if (n == 0)
            break;
        if (wsr_endpoint_drain(talk->ep, again, 3) != n || memcmp(slices, again, n * sizeof slices[0]) != 0)
            die("draining again gave something else");
        size_t call = 0;
        for (unsigned i = 0; i < n && took < bytes; i++) {
            size_t take = slices[i].len < bytes - took ? slices[i].len : bytes - took;
            if (slices[i].len == 0)
                die("an empty slice");
            vectors_append(&talk->sent, slices[i].ptr, take);
            took += take;
            call += take;
        }
        wsr_endpoint_sent(talk->ep, talk->now_ns, call);
    }
    return took;
}

size_t talk_flush(struct talk *talk)
{
    return talk_take(talk, SIZE_MAX);
}

/* ---- frames ---- */

void talk_frame(struct vectors_bytes *out, wsr_role role, uint8_t first, const void *payload, size_t len)
{
    static const uint8_t key[4] = {0x37, 0xfa, 0x21, 0x3d};
    uint8_t head[WSR_FRAME_HEADER_MAX];
    bool masks = role == WSR_CLIENT;
    vectors_append(out, head, wsr_frame_header_encode(head, first, len, masks ? key : NULL));
    size_t from = out->len;
    if (len > 0)
        vectors_append(out, payload, len);
    for (size_t i = 0; masks && i < len; i++)
        out->ptr[from + i] ^= key[i % 4];
}

static void describe_close(struct vectors_bytes *out, const uint8_t *payload, size_t len)
{
    char text[16];
    put(out, "close");
    if (len >= 2) {
        (void)snprintf(text, sizeof text, " %u", payload[0] * 256u + payload[1]);
        put(out, text);
        talk_payload(out, payload + 2, len - 2);
    } else {
        talk_payload(out, payload, len);
    }
    put(out, "\n");
}

bool talk_describe(struct vectors_bytes *out, const uint8_t *p, size_t len)
{
    for (size_t at = 0; at < len;) {
        wsr_frame_header header;
        int n = wsr_frame_header_decode((wsr_slice){p + at, len - at}, &header);
        if (n <= 0 || header.payload_len > len - at - (size_t)n)
            return false;
        at += (size_t)n;
        size_t payload_len = (size_t)header.payload_len;
        uint8_t *payload = malloc(payload_len + 1);
        if (payload == NULL)
            die("no memory");
        for (size_t i = 0; i < payload_len; i++)
            payload[i] = p[at + i] ^ header.masking_key[i % 4];
        if ((header.first & 15) == WSR_CLOSE) {
            describe_close(out, payload, payload_len);
        } else {
            put(out, (header.first & WSR_RSV1) != 0 ? "deflated " : "");
            put(out, wsr_opcode_name(header.first & 15));
            put(out, (header.first & WSR_FIN) != 0 ? "" : "...");
            talk_payload(out, payload, payload_len);
            put(out, "\n");
        }
        free(payload);
        at += payload_len;
    }
    return true;
}
