/*
 * tests/lib/back.h - a client on the simulated host that comes back, and the server it comes back to, played by the test: who
 * accepts, what is answered, how it ends. Every event is written down. Only for tests/sim_*.c.
 */
#ifndef TESTS_LIB_BACK_H
#define TESTS_LIB_BACK_H

#include <wsring/wsring.h>

#define MS UINT64_C(1000000)
#define SECOND (1000 * MS)
#define SLICE(text) ((wsr_slice){(const uint8_t *)(text), strlen(text)})
/* A timer fires at its time or up to a tick of 2^20 ns later, and the server looks every 100 us. */
#define LATE (MS + 500000)

enum back_random { BACK_LOWEST, BACK_HIGHEST, BACK_SEEDED, BACK_NONE }; /* what the policy draws; NONE: there are no random bytes */

enum { BACK_EVENTS = 1024, BACK_PEERS = 8 };

struct back_event {
    uint8_t type, opcode;
    uint16_t flags, close_code;
    int error;
    wsr_conn conn;
    void *user;
    uint64_t token, time_ns;
    wsr_close_record record; /* CLOSED and RECONNECTING; without detail and answer */
    uint16_t answer_status;  /* of record.answer; 0: none */
    wsr_reconnecting reconnecting; /* without record and url */
    char url[200];
    char data[40];           /* MESSAGE and UNDELIVERED */
    size_t len;
};

/* One connection as the server sees it. */
struct back_peer {
    int handle;          /* -1: gone */
    bool open;           /* it was answered with 101 */
    bool unread;         /* what the client sends is left where it is */
    uint64_t accepted_ns;
    char request[4096];
    size_t request_len;
    char got[4096];      /* payloads of data frames since, each followed by '|', and "close CODE|" */
    uint8_t bytes[8192]; /* not yet taken apart */
    size_t bytes_len;
};

struct back {
    wsr_engine *engine;
    wsr_connect_config config;
    int listener;        /* -1: nobody listens */
    uint16_t port;
    wsr_conn conn;
    enum back_random random;
    const char *answer;  /* to the next requests, in place of 101; "": silence */
    bool hangs_up;       /* behind that answer */
    bool deaf;           /* accepts nobody */
    struct back_event events[BACK_EVENTS];
    unsigned events_n, seen_n; /* written down; looked at by back_next */
    struct back_peer peers[BACK_PEERS];
    struct back_peer *peer; /* the last that was accepted */
    unsigned accepted, requests;
    unsigned hurried_n;  /* how many events there were when something was begun that none of them tells of */
};

/* Opens the engine (config may be NULL) and listens on port 9000. config.url and reconnect.on are set: change what you like. */
void back_open(struct back *b, const wsr_config *config);
void back_listen(struct back *b);
void back_unlisten(struct back *b);
/* wsr_connect, and then until OPEN. */
void back_connect(struct back *b);
void back_connect_open(struct back *b);
/* wsr_reconnect_now; 0, or its error. */
int back_now(struct back *b, const char *headers);
/* Closes the engine; nothing may be left open. */
void back_close(struct back *b);

/* Lets time pass; everything that happens is served and written down. */
void back_pass(struct back *b, uint64_t ns);
/* The next event that was not looked at yet, within ns of now; fails if none comes, or if it is of another type. */
const struct back_event *back_next(struct back *b, wsr_event_type type, uint64_t ns);
/* Fails if there is an event within ns. */
void back_nothing(struct back *b, uint64_t ns);

/* The server's doing, on the last connection accepted. An unmasked frame; Close with a code (0: none) and hanging up behind it. */
void back_frame(struct back *b, uint8_t first, const void *payload, size_t len);
void back_close_frame(struct back *b, uint16_t code);
void back_peer_gone(struct back_peer *peer, bool reset);

#endif
