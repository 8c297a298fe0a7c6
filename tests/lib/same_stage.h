/*
 * tests/lib/same_stage.h - what same.c and its scripts share: a server and a client, their peers, and what came to each end.
 */
#ifndef TESTS_LIB_SAME_STAGE_H
#define TESTS_LIB_SAME_STAGE_H

#include <stdbool.h>
#include <wsring/wsring.h>

#include "lib/same.h"

#define SLICE(text) ((wsr_slice){(const uint8_t *)(text), strlen(text)})

enum { ENDS_MAX = 4, TEXT_MAX = 8192 };

/* One end of a connection, and what has come to it. */
struct end {
    wsr_conn conn;
    unsigned opened, messages, closed;
    uint64_t chunk_bytes, chunk_sum;
    char text[TEXT_MAX];
    size_t len;
};

struct stage {
    const struct same_host *host;
    uint64_t random;
    wsr_engine *server, *client;
    wsr_listener listener;
    uint16_t port;
    struct end servers[ENDS_MAX], clients[ENDS_MAX];
    unsigned servers_n, clients_n, late; /* late: waits that came to nothing */
    bool silent; /* the server does not echo */
};

struct script {
    const char *name;
    void (*play)(struct stage *s);
    bool deflate;
    uint64_t whole_bytes_max;
};

/* same_scripts.c */
extern const struct script same_scripts[];
extern const unsigned same_scripts_n;

/* same.c */
__attribute__((format(printf, 2, 3))) void same_note(struct end *end, const char *format, ...);
uint64_t same_sum(uint64_t sum, const uint8_t *p, size_t len);
/* Both engines have a turn. */
void same_turn(struct stage *s);
/* Turns until *count is n; ten seconds without that are noted. */
void same_until(struct stage *s, const unsigned *count, unsigned n);
void same_closed(struct stage *s); /* all there are */
struct end *same_end(struct end *ends, unsigned *n, wsr_conn conn);
/* By chance: any number; a payload of at most so many bytes. */
uint64_t same_draw(struct stage *s);
wsr_slice same_payload(struct stage *s, size_t most);

#endif
