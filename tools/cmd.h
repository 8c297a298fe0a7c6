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

/*
 * Every exit code, as --help prints them; from 6 on `connect's alone, but for 78. They are curl's numbers where curl has one for the
 * same, and 78 is EX_CONFIG of sysexits.h.
 */
#define CMD_EXITS(X)                                                                                        \
    X(WSR_EXIT_OK, 0, "success; connect: closed with 1000, without a code, or by this end")                  \
    X(WSR_EXIT_FAILED, 1, "this end's trouble, as a file or port it cannot have; or an echo was wrong")   \
    X(WSR_EXIT_USAGE, 2, "the command line makes no sense")                                                  \
    X(WSR_EXIT_NO_NAME, 6, "the host's name was not resolved")                                               \
    X(WSR_EXIT_NO_CONNECTION, 7, "refused or unreachable")                                                   \
    X(WSR_EXIT_GOING_AWAY, 10, "the server goes away: 1001, 1012, 1013")                                     \
    X(WSR_EXIT_PROTOCOL, 11, "protocol failure: 1002, 1003, 1007, 1009, 1010, or no WebSocket")              \
    X(WSR_EXIT_OTHER_CLOSE, 12, "closed with another code: 1008, 1011, 1014, 3000-4999")                     \
    X(WSR_EXIT_HTTP, 22, "the server answered the handshake with an HTTP status")                            \
    X(WSR_EXIT_TIMEOUT, 28, "a deadline passed: connecting, TLS, handshake, ping, close")                    \
    X(WSR_EXIT_TLS, 35, "TLS failed")                                                                        \
    X(WSR_EXIT_BROKEN, 56, "the connection broke: 1006")                                                     \
    X(WSR_EXIT_CERTIFICATE, 60, "the server's certificate was refused")                                      \
    X(WSR_EXIT_NO_URING, 78, "io_uring is refused on this host: `wsring doctor' says why")                   \
    X(WSR_EXIT_PROXY, 97, "the proxy refused or failed")                                                     \
    X(WSR_EXIT_CUT, 130, "cut by a second signal, or by one before the connection was open")

enum cmd_exit {
#define CMD_EXIT_ROW_(name, value, text) name = (value),
    CMD_EXITS(CMD_EXIT_ROW_)
#undef CMD_EXIT_ROW_
};

/* The table as text, a line a code. */
#define CMD_EXIT_LINE_(name, value, text) "  " #value "\t" text "\n"
#define CMD_EXITS_TEXT "Exit codes:\n" CMD_EXITS(CMD_EXIT_LINE_)

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
