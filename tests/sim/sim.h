/*
 * tests/sim/sim.h - a host made of nothing: io_uring, TCP, descriptors and the clock, in one process and one thread.
 *
 * It stands under engine/ring: fake_uring.c has the functions of liburing that the ring calls, fake_sys.c those of
 * ring/sys.h, so the ring code that ships is what runs. Everything random comes from the seed, so a run is replayed by
 * its seed; time passes only where somebody waits, so nothing ever sleeps. What a kernel would let pass and a program must
 * never do (see sim_violation) ends the run.
 *
 * A test calls sim_reset(seed), sets knobs, opens engines and scripted peers, and then takes turns: poll every engine with
 * time-out 0, play the peers, sim_advance(). Or it polls one engine with a time-out: the clock then jumps to what happens
 * next, at most to the time-out, and the poll comes back early when another ring has got work.
 */
#ifndef TESTS_SIM_SIM_H
#define TESTS_SIM_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define SIM_NOTIFICATION_NS_MAX UINT64_C(2000000000)

/* How the host behaves. All zero is a perfect one: at once, whole, in order. Set after sim_reset, change at any time. */
struct sim_knobs {
    /* TCP */
    uint32_t socket_bytes;    /* room of one direction of a connection; 0: 65536. Fixed once the first one is made. */
    uint32_t read_bytes_max;  /* a receive finds 1 to this many bytes at a time; 0: all there are */
    uint32_t write_bytes_max; /* a send gets rid of 1 to this many bytes at a time; 0: all there is room for */
    uint64_t latency_ns_max;  /* each piece, end, reset and handshake is 0 to this long under way */
    /* operations */
    uint64_t delay_ns_max;        /* from ready to completed, 0 to this long */
    uint8_t delay_percent;        /* operations that could complete at once and take that way nevertheless */
    uint8_t late_send_percent;    /* sends whose completion comes that much later than their bytes leave */
    uint8_t short_send_percent;   /* sends that end with only part of their bytes out */
    uint8_t late_notification_percent; /* sends without copying whose bytes are needed for up to SIM_NOTIFICATION_NS_MAX longer */
    uint8_t no_zero_copy_percent; /* such sends that are refused */
    uint8_t lost_more_percent;    /* completions of armed operations that are the last one, with bytes */
    uint8_t enobufs_percent;      /* receives that end with ENOBUFS although there are buffers again by then */
    uint8_t reorder_percent;      /* batches of completions that come in any order between sockets */
    uint8_t interrupt_percent;    /* waits ended by a signal */
    uint8_t partial_submit_percent; /* submits of which the kernel takes only a part */
    uint8_t no_stamp_percent;     /* receives with time stamps that bring none */
    uint8_t cut_stamp_percent;    /* ... or one that is cut off (MSG_CTRUNC) */
    uint8_t hardware_percent;     /* stamps that have the card's too: SIM_HARDWARE_NS later than the kernel's, by its own clock */
    /* the host */
    uint32_t fds_max;      /* open descriptors at most; 0: 65000 */
    bool no_incremental;   /* as before 6.12 */
    bool no_defer_taskrun; /* as before 6.1 */
    int uring_disabled;    /* kernel.io_uring_disabled */
    bool seccomp_filtered;
    /* what is no violation in this run */
    bool close_armed_allowed;
};
extern struct sim_knobs sim_knobs;

/* Calls and operations that can be made to fail, and are counted. */
enum sim_call {
    SIM_RECEIVE, SIM_SEND, SIM_ACCEPT, SIM_CONNECT, SIM_POLL, SIM_TIMER, SIM_CANCEL, /* operations, when they would complete */
    SIM_OPERATION,                                                                    /* any of those */
    SIM_SETUP, SIM_REGISTER, SIM_ENTER, SIM_MAP, SIM_SOCKET, SIM_LISTEN, SIM_EVENTFD, SIM_RESERVE, SIM_SHUTDOWN, SIM_RESOLVE,
    SIM_OPTION, /* switching time stamps on */
    SIM_CALLS
};

/* What happened so far; a campaign shows by it that every kind of fault was met. */
struct sim_stats {
    uint64_t enters, operations, completions, events;
    uint64_t bytes_sent, bytes_received;
    uint64_t short_reads, short_writes, short_sends, sends_now, delayed, late_sends, zero_copies, late_notifications, lost_more, enobufs, enobufs_false, overflows;
    uint64_t reordered, interrupts, partial_submits, cancelled, cancelled_partly, cancelled_late, resets, refused, emfile, injected, closed_armed;
    uint64_t backlogs_full;
    uint64_t connections, buffers_returned;
    uint64_t stamps_missing; /* receives that were to bring one and brought none, or part of one */
};
extern struct sim_stats sim_stats;

/* Forgets everything (whatever is still open with it) and begins anew at a time taken from the seed, all knobs zero. */
void sim_reset(uint64_t seed);

/* Sets the knobs that hurt no correct program (all but the host's) at random from the seed: some runs mild, some wild. */
void sim_chaos(void);

/* The run's random numbers, for the test's own choices too: any; below n (n > 0); true in percent of 100 cases. */
uint64_t sim_random(void);
uint64_t sim_below(uint64_t n);
bool sim_chance(unsigned percent);

/* Both clocks of the host: CLOCK_REALTIME is not set, so stamps of receives are by this one too. */
uint64_t sim_now_ns(void);
#define SIM_HARDWARE_NS UINT64_C(37000000000)

/* Moves the clock to the next thing that happens and lets it happen. False: nothing is to come. */
bool sim_advance(void);

/* Likewise, but no further than ns from now: then it stops there. */
void sim_advance_within(uint64_t ns);

/* The application is away for ns; what happens meanwhile happens. */
void sim_sleep(uint64_t ns);

/* The nth call of that kind from now (1: the next) fails with error (positive errno). Several may be set up. */
void sim_fail(enum sim_call call, uint64_t nth, int error);

/* Those set up that have not struck yet; forgets them. */
unsigned sim_failures(void);
void sim_fail_none(void);

/* How often which errno struck, since the program began. */
#define SIM_ERRNOS 134u
extern uint64_t sim_struck[SIM_CALLS][SIM_ERRNOS];

/* How many of that kind there were since sim_reset: the bound of a sweep. */
uint64_t sim_calls(enum sim_call call);

/*
 * What the resolver says of a name, delay_ns after it was asked (UINT64_MAX: never): addresses, numeric, with blanks between; or
 * error, if that is not NULL (static). Names that were not told of do not exist. Forgotten by sim_reset.
 */
void sim_name(const char *host, uint64_t delay_ns, const char *error, const char *addresses);

/*
 * What a connect to this numeric address meets, at any port, delay_ns after it was begun (UINT64_MAX: nothing, ever): error
 * (positive errno), or, if that is 0, the listener on the port, to which all addresses are one. Forgotten by sim_reset.
 */
void sim_place(const char *address, uint64_t delay_ns, int error);

/* Open descriptors, rings and mappings: 0 at the end of a run without leaks. text, if not NULL, gets what they are. */
unsigned sim_leaks(char *text, size_t cap);

/* Two ends of a connection that nobody had to make, as descriptors. False: there are none left. */
bool sim_pair(int fds[2]);

/* Would another loop be woken by this eventfd (wsr_engine_fd)? */
bool sim_fd_readable(int fd);

/* A number over all completions so far, their order and time: equal for equal runs. */
uint64_t sim_digest(void);

/*
 * Sees all bytes that one end of a connection gives to the host, if not NULL. port: the connecting end's, whichever end wrote.
 * Set to NULL by sim_reset.
 */
extern void (*sim_on_bytes)(uint16_t port, bool from_connector, const uint8_t *bytes, size_t len);

/* One line for everything that happens, if not NULL. */
extern FILE *sim_trace;

/*
 * What no program may do: change or free bytes that fly, two sends at once on a socket, close a descriptor with operations
 * armed, give a buffer back twice or while the kernel fills it, free the arena under the kernel, close a ring with work under
 * way, wait for ever for nothing, touch what is not open. Prints seed, time and what it is, and aborts; or calls
 * sim_on_violation, which must not return (longjmp).
 */
extern void (*sim_on_violation)(const char *text);
#if defined(__GNUC__)
__attribute__((format(printf, 1, 2), noreturn))
#endif
void sim_violation(const char *format, ...);

/*
 * Scripted peers: the other end of a connection, played by the test byte by byte, outside any ring. A handle is 0 or more,
 * valid until closed or reset; negative results are -errno.
 */
int sim_peer_connect(uint16_t port);   /* to a listener of an engine; -ECONNREFUSED */
int sim_peer_listen(uint16_t port);    /* a listener that engines connect to; a handle; port 0 is none: choose one */
int sim_peer_accept(int listener);     /* a handle; -EAGAIN */
ptrdiff_t sim_peer_write(int peer, const void *bytes, size_t len); /* how many it took (socket_bytes); -EPIPE */
ptrdiff_t sim_peer_read(int peer, void *bytes, size_t cap);        /* 0: the end; -EAGAIN, -ECONNRESET */
void sim_peer_shutdown(int peer);      /* no more is written; reading goes on */
void sim_peer_close(int peer);         /* with bytes unread the other side sees a reset, as in TCP */
void sim_peer_reset(int peer);
uint16_t sim_peer_port(int peer);      /* the connecting end's, of a connection */

#endif
