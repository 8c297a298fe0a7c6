/*
 * wsring/types.h - the few types that every public header shares: byte slices, identifiers, errors, allocator.
 *
 * Nothing here allocates, blocks or keeps state. Every public name begins with wsr_ or WSR_.
 */
#ifndef WSRING_TYPES_H
#define WSRING_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/*
 * What each WSR_..._CONFIG_INIT is: all zero, which is all defaults, and its size. Initialise with it, then set what is to differ;
 * where a config is asked for, NULL is this too.
 */
#ifdef __cplusplus /* before C++20 there are no designated initialisers */
template <class Config> inline Config wsr_sized()
{
    Config config = Config();
    config.size = sizeof config;
    return config;
}
#define WSR_SIZED(type) wsr_sized<type>()
#else
#define WSR_SIZED(type) { .size = sizeof(type) }
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define WSR_VERSION_MAJOR 0
#define WSR_VERSION_MINOR 1
#define WSR_VERSION_PATCH 0
#define WSR_VERSION "0.1.0"

#if defined(__GNUC__)
#define WSR_API __attribute__((visibility("default")))
#define WSR_MUST_USE __attribute__((warn_unused_result))
#else
#define WSR_API
#define WSR_MUST_USE
#endif

/* The version of the library that runs (WSR_VERSION is that of the headers compiled against). Static storage. */
WSR_API const char *wsr_version(void);

/* Bytes that somebody else owns, to be read. ptr may be NULL only where len is 0. */
typedef struct wsr_slice {
    const uint8_t *ptr;
    size_t len; /* bytes */
} wsr_slice;

/* Bytes that somebody else owns, to be written in place. */
typedef struct wsr_span {
    uint8_t *ptr;
    size_t len; /* bytes */
} wsr_span;

/* A text's bytes, without its NUL; NULL: none. */
static inline wsr_slice wsr_slice_of(const char *text)
{
    wsr_slice slice = {(const uint8_t *)text, text != NULL ? strlen(text) : 0};
    return slice;
}

/* A connection: slot and generation packed into 64 bits. 0 is never a connection; a stale one is WSR_ESTALE, never a dangling pointer. */
typedef uint64_t wsr_conn;

typedef enum wsr_role { WSR_SERVER = 0, WSR_CLIENT = 1 } wsr_role;

/* RFC 6455 section 5.2. The low byte is the value on the wire. */
typedef enum wsr_opcode {
    WSR_CONTINUATION = 0x0,
    WSR_TEXT = 0x1,
    WSR_BINARY = 0x2,
    WSR_CLOSE = 0x8,
    WSR_PING = 0x9,
    WSR_PONG = 0xA,
    /* only to send with: a message that is not to be compressed, whatever the ends agreed on */
    WSR_TEXT_PLAIN = 0x101,
    WSR_BINARY_PLAIN = 0x102
} wsr_opcode;

/*
 * Errors, one row each: name, value, the close code a peer gets for it (0: the peer is told nothing), text.
 * Functions return 0 or a positive count on success and one of these, negative, on failure.
 */
#define WSR_ERRORS(X)                                                                                                                      \
    X(WSR_OK, 0, 0, "success")                                                                                                             \
    /* the caller's */                                                                                                                     \
    X(WSR_EINVAL, -1, 0, "an argument is out of its documented range")                                                                     \
    X(WSR_ESTALE, -2, 0, "the connection has ended (its id is stale)")                                                                     \
    X(WSR_ESTATE, -3, 0, "the call does not fit the connection's state (not open yet, or closing)")                                        \
    X(WSR_EFULL, -4, 0, "the outbox is at its limit; wait for WRITABLE and send again")                                                    \
    X(WSR_ETOOBIG, -5, 0, "the message is larger than a limit of this end")                                                                \
    X(WSR_EBADUTF8, -6, 0, "a text message or close reason to be sent is not UTF-8")                                                       \
    X(WSR_EBADCODE, -7, 0, "a close code that must not be sent")                                                                           \
    X(WSR_ECONFIG, -8, 0, "a configuration field is out of range, or comes from a newer header")                                           \
    X(WSR_ELIMIT, -9, 0, "a limit of the engine is reached (connections, listeners)")                                                      \
    X(WSR_EURL, -10, 0, "a URL that is none, or whose scheme is not ws, wss or ws+unix")                                                   \
    /* the machine's */                                                                                                                    \
    X(WSR_ENOMEM, -20, 1011, "out of memory")                                                                                              \
    X(WSR_ESYS, -21, 0, "a system call failed; errno says why")                                                                            \
    X(WSR_EURING_SECCOMP, -22, 0,                                                                                                          \
      "io_uring is forbidden by a seccomp filter or sandbox; allow io_uring_setup, io_uring_enter and io_uring_register "                  \
      "(Docker: --security-opt seccomp=PROFILE)")                                                                                          \
    X(WSR_EURING_SYSCTL, -23, 0, "io_uring is switched off by kernel.io_uring_disabled; set it to 0 (sysctl -w kernel.io_uring_disabled=0)") \
    X(WSR_EURING_MEMLOCK, -24, 0, "io_uring may not lock the memory it needs; raise RLIMIT_MEMLOCK (ulimit -l) or ask for less")            \
    X(WSR_EURING_KERNEL, -25, 0, "this kernel's io_uring is too old; 6.1 or later is needed")                                              \
    X(WSR_ERANDOM, -26, 1011, "no secure random bytes could be had")                                                                       \
    X(WSR_EMEMLOCK, -27, 0, "the memory may not be locked; raise RLIMIT_MEMLOCK (ulimit -l), or lock less")                                 \
    X(WSR_EHUGEPAGES, -28, 0, "no huge pages are to be had; set some aside (sysctl -w vm.nr_hugepages=N), or do without")                   \
    X(WSR_ESHED, -29, 1013, "closed to make room: of all connections this one held most memory")                                           \
    /* the peer's frames, RFC 6455 section 5 */                                                                                            \
    X(WSR_EUNMASKED, -40, 1002, "a client's frame was not masked")                                                                         \
    X(WSR_EMASKED, -41, 1002, "a server's frame was masked")                                                                               \
    X(WSR_ERSV, -42, 1002, "a reserved bit was set and no extension gives it a meaning")                                                   \
    X(WSR_EOPCODE, -43, 1002, "a reserved opcode")                                                                                         \
    X(WSR_ECONTROL_FRAGMENTED, -44, 1002, "a fragmented control frame")                                                                    \
    X(WSR_ECONTROL_LENGTH, -45, 1002, "a control frame of more than 125 bytes")                                                            \
    X(WSR_ECONTINUATION, -46, 1002, "a continuation frame without a message to continue")                                                  \
    X(WSR_EINTERLEAVED, -47, 1002, "a new data frame inside an unfinished message")                                                        \
    X(WSR_ELENGTH_TOP_BIT, -48, 1002, "a 64-bit length with its top bit set")                                                              \
    X(WSR_ELENGTH_FORM, -49, 1002, "a length that is not in its shortest form")                                                            \
    X(WSR_EMESSAGE_SIZE, -50, 1009, "a message over the limit")                                                                            \
    X(WSR_EUTF8, -51, 1007, "text that is not UTF-8")                                                                                      \
    X(WSR_ECLOSE_LENGTH, -52, 1002, "a Close frame with a payload of one byte")                                                            \
    X(WSR_ECLOSE_CODE, -53, 1002, "a Close frame with a code that must not be on the wire")                                                \
    X(WSR_ECLOSE_REASON, -54, 1007, "a Close reason that is not UTF-8")                                                                    \
    X(WSR_EDEFLATE, -55, 1007, "a compressed message that does not inflate")                                                               \
    X(WSR_EFLOOD, -56, 1008, "more empty fragments or control frames than the limit allows")                                               \
    /* the handshake, RFC 6455 section 4 */                                                                                                \
    X(WSR_EHANDSHAKE, -70, 0, "the peer's handshake was refused; the status says why")                                                     \
    X(WSR_EREFUSED, -71, 0, "the server answered the handshake with something other than 101")                                             \
    X(WSR_EANSWER, -72, 0, "the server's 101 does not answer what was asked (accept value, headers, subprotocol or extension)")            \
    /* the transport and the clock */                                                                                                      \
    X(WSR_ETRUNCATED, -80, 0, "the connection ended without a Close frame")                                                                \
    X(WSR_ERESET, -81, 0, "the connection was reset or the transport failed; errno says how")                                              \
    X(WSR_ETIMEOUT_HANDSHAKE, -82, 0, "the handshake took longer than its deadline")                                                       \
    X(WSR_ETIMEOUT_IDLE, -83, 1001, "nothing was received for the idle limit")                                                             \
    X(WSR_ETIMEOUT_PING, -84, 1001, "a ping was not answered in time: the peer is taken for dead")                                         \
    X(WSR_ETIMEOUT_CLOSE, -85, 0, "the peer did not finish the closing handshake in time")                                                 \
    X(WSR_EABORTED, -86, 0, "this end aborted the connection")                                                                             \
    X(WSR_ECONNECT, -87, 0, "the connection could not be made; errno says why")                                                            \
    X(WSR_ERESOLVE, -88, 0, "the host's name could not be resolved")                                                                       \
    X(WSR_EPROXY, -89, 0, "the proxy refused to connect, or failed")                                                                       \
    X(WSR_ETIMEOUT_CONNECT, -90, 0, "resolving and connecting took longer than the deadline")                                              \
    X(WSR_ETLS, -91, 0, "the TLS handshake or session failed")                                                                             \
    X(WSR_ETLS_CERTIFICATE, -92, 0, "the peer's certificate was refused")                                                                  \
    X(WSR_ETIMEOUT_TLS, -93, 0, "the TLS handshake took longer than the deadline")                                                         \
    X(WSR_ETLS_TRUNCATED, -94, 0, "the TLS stream ended without close_notify: its end may have been forged")                       \
    X(WSR_EHAPROXY, -95, 0, "the connection did not begin with a PROXY protocol header, which this listener demands")

typedef enum wsr_error {
#define WSR_ERROR_ROW_(name, value, code, text) name = (value),
    WSR_ERRORS(WSR_ERROR_ROW_)
#undef WSR_ERROR_ROW_
} wsr_error;

/* "WSR_EUTF8" for WSR_EUTF8; "WSR_EUNKNOWN" for a value that is none. Static storage; any thread. */
WSR_API const char *wsr_error_name(int error);

/* One line for a person, without a final full stop. Static storage; any thread. */
WSR_API const char *wsr_error_text(int error);

/* The close code a peer is sent for this error (RFC 6455 section 7.4.1), 0 if it is told nothing. Any thread. */
WSR_API uint16_t wsr_error_close_code(int error);

/*
 * Where memory comes from. All three functions must be given, or none (malloc, realloc and free are then used).
 * They are called on the thread of the engine or endpoint that holds the allocator, and must not call back into it.
 * alloc and resize return NULL on failure, and memory aligned as malloc's. release(NULL) is never called; size is what
 * was last asked for.
 */
typedef struct wsr_allocator {
    void *context;
    void *(*alloc)(void *context, size_t size);
    void *(*resize)(void *context, void *ptr, size_t old_size, size_t size);
    void (*release)(void *context, void *ptr, size_t size);
} wsr_allocator;

#ifdef __cplusplus
}
#endif

#endif
