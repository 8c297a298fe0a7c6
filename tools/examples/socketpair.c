/* A client and a server endpoint, no engine, talking over a socketpair: level 2 of the interface in forty lines. */
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include <wsring/endpoint.h>

static wsr_endpoint *end[2]; /* by role: 0 the server, 1 the client */
static int fd[2];
static int closed;

static void push(int i) /* what endpoint i wants sent goes to its socket */
{
    wsr_slice out[8];
    for (unsigned n; (n = wsr_endpoint_drain(end[i], out, 8)) > 0;)
        for (unsigned k = 0; k < n; k++)
            wsr_endpoint_sent(end[i], 0, (size_t)write(fd[i], out[k].ptr, out[k].len));
}

static void pull(int i) /* what its socket holds goes to endpoint i, and its events are answered */
{
    static uint8_t bytes[4096];
    wsr_event ev[8];
    ssize_t len = recv(fd[i], bytes, sizeof bytes, MSG_DONTWAIT);
    size_t used = 0, done = 0;
    for (unsigned n; len > 0 && done < (size_t)len; done += used) {
        if (wsr_endpoint_feed(end[i], 0, (wsr_span){bytes + done, (size_t)len - done}, ev, 8, &n, &used) != WSR_OK)
            return;
        for (unsigned k = 0; k < n; k++) {
            wsr_slice data = wsr_event_payload(&ev[k]);
            int error = WSR_OK;
            if (ev[k].type == WSR_EVENT_OPEN && i == WSR_CLIENT)
                error = wsr_endpoint_send(end[i], WSR_TEXT, wsr_slice_of("hello"));
            else if (ev[k].type == WSR_EVENT_MESSAGE && i == WSR_SERVER)
                error = wsr_endpoint_send(end[i], (wsr_opcode)ev[k].opcode, data);
            else if (ev[k].type == WSR_EVENT_MESSAGE && printf("echoed: %.*s\n", (int)data.len, (const char *)data.ptr) > 0)
                error = wsr_endpoint_close(end[i], 0, WSR_CLOSE_NORMAL, wsr_slice_of(NULL));
            closed |= error != WSR_OK;
        }
    }
    closed |= wsr_endpoint_wants_shutdown(end[i]); /* both Closes have passed: the server ends the stream first */
}

int main(void)
{
    wsr_endpoint_config config = WSR_ENDPOINT_CONFIG_INIT;
    config.host = "localhost";
    for (int i = 0; i < 2; i++) {
        config.role = (wsr_role)i;
        if (wsr_endpoint_open(&end[i], &config, 0) != WSR_OK)
            return 1;
    }
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fd) != 0)
        return 1;
    while (!closed)
        push(WSR_CLIENT), pull(WSR_SERVER), push(WSR_SERVER), pull(WSR_CLIENT);
    puts("closed with 1000 on both sides");
    wsr_endpoint_free(end[0]), wsr_endpoint_free(end[1]);
    return 0;
}
