/*
 * wsring/run.h - callbacks on top of wsr_poll, for programs that like them. All of it is run.c, which is short.
 */
#ifndef WSRING_RUN_H
#define WSRING_RUN_H

#include <wsring/engine.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Any may be NULL. They run on the engine's thread, one after another, and may call everything but wsr_poll. */
typedef struct wsr_handlers {
    void (*open)(wsr_engine *engine, const wsr_event *event, void *context);
    void (*request)(wsr_engine *engine, const wsr_event *event, void *context);
    void (*message)(wsr_engine *engine, const wsr_event *event, void *context);
    void (*ping)(wsr_engine *engine, const wsr_event *event, void *context);
    void (*pong)(wsr_engine *engine, const wsr_event *event, void *context);
    void (*writable)(wsr_engine *engine, const wsr_event *event, void *context);
    void (*closed)(wsr_engine *engine, const wsr_event *event, void *context);
    void (*wake)(wsr_engine *engine, const wsr_event *event, void *context);
    void (*chunk)(wsr_engine *engine, const wsr_event *event, void *context);
    void (*reconnecting)(wsr_engine *engine, const wsr_event *event, void *context);
    void (*undelivered)(wsr_engine *engine, const wsr_event *event, void *context);
} wsr_handlers;

/*
 * Polls and calls handlers until *stop is not 0 (checked after each batch; set it in a handler, or from another thread
 * or a signal handler and wsr_wake). stop NULL: until an error. Returns 0, or what wsr_poll returned.
 */
WSR_API WSR_MUST_USE int wsr_run(wsr_engine *engine, const wsr_handlers *handlers, void *context, const volatile int *stop);

#ifdef __cplusplus
}
#endif

#endif
