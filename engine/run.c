/*
 * run.c - callbacks on top of wsr_poll. Everything it does an application could do: it uses public headers only.
 */
#include <wsring/run.h>

#define BATCH 64

typedef void handler(wsr_engine *engine, const wsr_event *event, void *context);

static handler *handler_of(const wsr_handlers *handlers, unsigned type)
{
    switch ((wsr_event_type)type) {
    case WSR_EVENT_OPEN:
        return handlers->open;
    case WSR_EVENT_REQUEST:
        return handlers->request;
    case WSR_EVENT_MESSAGE:
        return handlers->message;
    case WSR_EVENT_PING:
        return handlers->ping;
    case WSR_EVENT_PONG:
        return handlers->pong;
    case WSR_EVENT_WRITABLE:
        return handlers->writable;
    case WSR_EVENT_CLOSED:
        return handlers->closed;
    case WSR_EVENT_WAKE:
        return handlers->wake;
    case WSR_EVENT_CHUNK:
        return handlers->chunk;
    case WSR_EVENT_RECONNECTING:
        return handlers->reconnecting;
    case WSR_EVENT_UNDELIVERED:
        return handlers->undelivered;
    case WSR_EVENT_NONE:
        break;
    }
    return NULL;
}

int wsr_run(wsr_engine *engine, const wsr_handlers *handlers, void *context, const volatile int *stop)
{
    wsr_event ev[BATCH];
    while (stop == NULL || *stop == 0) {
        int n = wsr_poll(engine, ev, BATCH, -1);
        if (n < 0)
            return n;
        for (int i = 0; i < n; i++) {
            handler *call = handler_of(handlers, ev[i].type);
            if (call != NULL)
                call(engine, &ev[i], context);
        }
    }
    return WSR_OK;
}
