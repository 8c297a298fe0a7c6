/*
 * tools/cmd.h - what the subcommands of `wsring` share: their names, exit codes, and how they speak about trouble.
 *
 * Everything a subcommand prints as its result goes to standard output; all the rest to standard error, a line each, that
 * begins with the command's name and says what to do.
 */
#ifndef TOOLS_CMD_H
#define TOOLS_CMD_H

#include <stdbool.h>
#include <stdint.h>

enum {
    WSR_EXIT_OK = 0,
    WSR_EXIT_FAILED = 1,   /* it ran, and did not succeed: port taken, connection refused, an echo was wrong ... */
    WSR_EXIT_USAGE = 2,    /* the command line makes no sense */
    WSR_EXIT_NO_URING = 78 /* this host refuses io_uring (EX_CONFIG of sysexits.h) */
};

/* The subcommands. argv[0] is "wsring NAME". Each returns an exit code, or exits by argp for --help and bad flags. */
int wsr_cmd_serve(int argc, char **argv);
int wsr_cmd_connect(int argc, char **argv);
int wsr_cmd_load(int argc, char **argv);
int wsr_cmd_demo(int argc, char **argv);
int wsr_cmd_doctor(int argc, char **argv);
int wsr_cmd_explain(int argc, char **argv);
int wsr_cmd_reconnect_js(int argc, char **argv);

/* "wsring NAME: MESSAGE" and a newline on standard error. */
__attribute__((format(printf, 2, 3))) void cmd_complain(const char *name, const char *format, ...);

/*
 * Says that an engine could not be opened, with what to do about it. error: of wsr_engine_open; errno still as it was left.
 * Returns the exit code to end with.
 */
int cmd_no_engine(const char *name, int error);

/*
 * Each connection is a descriptor: raises the soft limit as far as `connections` need and the hard one allows. Returns how
 * many connections there may be now, at most `connections`.
 */
uint64_t cmd_raise_descriptors(uint64_t connections);

/* Takes the SIMD kernels that WSRING_ISA names, if it is set. False, after a complaint, if they are not to be had. */
bool cmd_select_kernels(void);

/*
 * A port that may be free, another one at each attempt (0, 1, 2 ...), below those that the kernel gives to clients: while nobody
 * listens on one of these, a client could be given that very port, and then find itself there.
 */
uint16_t cmd_port_candidate(unsigned attempt);

/* CLOCK_MONOTONIC in nanoseconds: the clock of wsr_event.time_ns. */
uint64_t cmd_now_ns(void);

#endif
