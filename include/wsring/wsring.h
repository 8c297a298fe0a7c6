/*
 * wsring/wsring.h - all of wsring. Include single headers to take less.
 *
 * Three levels, each usable alone: frame.h, simd.h and close.h are stateless; endpoint.h is one connection without
 * input or output; engine.h, server.h, client.h and run.h are the engine on io_uring. Beside them policy.h: when to reconnect.
 */
#ifndef WSRING_WSRING_H
#define WSRING_WSRING_H

#include <wsring/client.h>
#include <wsring/close.h>
#include <wsring/endpoint.h>
#include <wsring/engine.h>
#include <wsring/frame.h>
#include <wsring/policy.h>
#include <wsring/probe.h>
#include <wsring/run.h>
#include <wsring/server.h>
#include <wsring/simd.h>
#include <wsring/tls.h>
#include <wsring/types.h>

#endif
