/*
 * conn/flight.h - sends that the kernel does not copy (wsr_config.zero_copy_bytes): what they were shown stays until it says so.
 *
 *     queued -> [completion: sent, or failed] -> [notification: nobody reads these bytes any more]
 *
 * For its connection such a send is over with the first, as any other, and the next may go. The second comes when the peer's TCP has
 * acknowledged the last byte, or the socket is gone: perhaps long after the connection. So the chunks are the flight's too, not only
 * the outbox's, and it lets go of them then.
 */
#ifndef WSR_CONN_FLIGHT_H
#define WSR_CONN_FLIGHT_H

#include "conn/engine.h"

/* Is what c shows the ring to go so? Each slice is large enough, its socket was never seen to refuse it, and memory is not short. */
bool wsr_flight_suits(const wsr_engine *engine, const struct wsr_connection *c, const wsr_slice *slices, unsigned n);

/* Queues it, as wsr_ring_send; WSR_ENOMEM too. */
WSR_MUST_USE int wsr_flight_send(wsr_engine *engine, struct wsr_connection *c, const wsr_slice *slices, unsigned n);

/* Either completion of one. */
void wsr_flight_completion(wsr_engine *engine, struct wsr_batch *batch, const struct wsr_completion *completion);

/* The tag of the send that c has in the ring, of this kind or not. */
uint64_t wsr_flight_tag(const wsr_engine *engine, const struct wsr_connection *c);

/* Of memory, beside what is held. */
size_t wsr_flights_bytes(const wsr_engine *engine);

/*
 * The engine closes. cut: before the ring does; sockets whose notifications would not come for as long as they are open are
 * cut off. fini: after it, if the kernel is done with everything; else what flies is left to it for ever.
 */
void wsr_flights_cut(wsr_engine *engine);
void wsr_flights_fini(wsr_engine *engine, bool kernel_is_done);

#endif
