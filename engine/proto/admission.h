/*
 * proto/admission.h - who is let in, of those whose handshake is right: the Origin allow-list (RFC 6455 sections 4.2.2 and
 * 10.2, RFC 6454 section 6) and the paths that are served.
 *
 * Lists are comma-separated, their items trimmed; an empty list lets everybody in. Pure.
 */
#ifndef WSR_PROTO_ADMISSION_H
#define WSR_PROTO_ADMISSION_H

#include "proto/http.h"

/*
 * Each item an origin as a browser sends it, scheme "://" host [":" port] and nothing behind (there are no patterns); or "null", what a browser sends
 * where there is no origin to tell; or "none", which stands for requests without an Origin header: programs.
 */
bool wsr_admission_origins_valid(wsr_slice origins);

/* Each item begins with "/", and is a path without a query. */
bool wsr_admission_paths_valid(wsr_slice paths);

/*
 * Scheme, host and port have to be those of one item; ASCII letters of either case are one in the first two, and the port
 * of http, ws, https and wss is known. Anything that is not one origin is on no list. ptr NULL: there was no such header.
 */
bool wsr_admission_origin_listed(wsr_slice origins, wsr_slice origin);

/* Byte for byte, as the request has it: nothing is percent-decoded, "/chat" is not "/chat/". */
bool wsr_admission_path_listed(wsr_slice paths, wsr_slice path);

/* Both, on a good request. Returns 0, -WSR_REFUSE_FORBIDDEN or -WSR_REFUSE_PATH. */
WSR_MUST_USE int wsr_admission_judge(wsr_slice origins, wsr_slice paths, const wsr_request *request);

#endif
