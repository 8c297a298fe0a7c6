/*
 * bench/echo_load.c - the load of `make bench-echo`: a window of messages on many connections, and what the server paid for it.
 *
 * One thread, epoll, one recv and one send a connection and wake-up; frames are built, masked, beforehand, so that it does as
 * little as a client can. It checks the length of every reply and its first bytes, not the rest (`wsring load` checks every
 * byte). The same program and the same bytes drive a WebSocket server (--target ws:…: handshake first, replies are plain
 * frames) and a raw echo (--target raw:…: no handshake, replies are the tail of each frame; see lib/raw.h).
 *
 * Two things see to it that it is the server that is waited for and not the load (README.md says why): --spin, which does not
 * sleep, and --brake, which takes a part of the servers' core away.
 *
 * All targets are connected all the time and measured in turn, in many short slices, shuffled anew in each pass: a machine
 * whose speed drifts, drifts for all of them.
 *
 * It reads a server's CPU time itself, from /proc/PID/task/N/schedstat, each time after the last reply is in and the server
 * has gone to sleep: the kernel brings that counter up to date only when a task is switched out, or at a timer tick.
 * One line of JSON on stdout. Exit code 1 when anything went wrong: refused, stalled, closed, a wrong reply.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/perf_event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { TARGETS_MAX = 16, SLICES_MAX = 1000, EVENTS = 512, HEADER_MAX = 14, CHECKED_BYTES = 32, STALL_SECONDS = 5 };

/* Replies are read through one buffer; 256 KiB stays in a second-level cache. */
#define READ_BYTES ((size_t)256 << 10)
/* So many bytes of ready-made frames: a window of small messages leaves in one send. */
#define FRAMES_BYTES ((size_t)1 << 20)
/* With a weight of 423 against 1024 (sched(7)) the brake takes 29 % of a core from a busy server. */
#define BRAKE_NICE 4
/* How long a server gets to go to sleep before its CPU time is read. */
#define SETTLE_NS 2000000

struct connection {
    int fd;
    int wants_out;    /* EPOLLOUT is on */
    unsigned waiting; /* messages sent, or to be sent, and not yet answered */
    size_t unsent;    /* bytes still to send */
    size_t send_at;   /* where in the frames the next of them is */
    size_t reply_at;  /* bytes of the current reply received */
};

/* What one slice cost. Signed: a thread that ends takes what it used with it. */
struct slice {
    int64_t messages;
    double seconds;
    int64_t server_run_ns, server_wait_ns; /* on a core; ready, but another task had it */
    int64_t server_sleeps;                 /* times that it had nothing to do */
    int64_t load_run_ns, load_wait_ns;     /* the same of this program */
    int64_t server_cycles;                 /* 0 if not asked for */
};

struct target {
    int raw;
    unsigned port;
    int pid; /* 0: not known, no CPU time is read */
    int epoll, cycles_fd;
    struct connection *connections;
    uint8_t reply_head[CHECKED_BYTES];
    struct slice *slices;
};

static struct {
    unsigned connections, depth, slices, seed;
    int text, spin, cycles, brake_core;
    size_t payload_bytes;
    double seconds, warm_up_seconds;
} options = {.connections = 1, .depth = 1, .slices = 1, .payload_bytes = 20, .seconds = 0.5, .warm_up_seconds = 0.1, .brake_core = -1};

static struct target targets[TARGETS_MAX];
static unsigned target_count;

static uint8_t *frames;         /* copies of one masked frame */
static size_t frames_bytes;     /* all of them */
static size_t in_bytes;         /* of one frame to the server */
static size_t out_bytes;        /* of one reply */
static size_t reply_head_bytes; /* how much of it is checked */
static uint8_t *read_buffer;

/* Of the slice that runs. */
static const struct target *current;
static int64_t replies, outstanding;
static int stopping;

static void die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

static void die(const char *format, ...)
{
    va_list arguments;

    fputs("echo_load: ", stderr);
    if (current != NULL)
        fprintf(stderr, "port %u: ", current->port);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

static double now_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* --- What is sent, and what must come back ------------------------------------------------------------------------------ */

/* RFC 6455 section 5.2, without the masking key. */
static size_t header_build(uint8_t *header, uint8_t byte0, uint8_t mask_bit, size_t payload)
{
    header[0] = byte0;
    if (payload < 126) {
        header[1] = (uint8_t)(mask_bit | payload);
        return 2;
    }
    if (payload < 65536) {
        header[1] = mask_bit | 126;
        header[2] = (uint8_t)(payload >> 8);
        header[3] = (uint8_t)payload;
        return 4;
    }
    header[1] = mask_bit | 127;
    for (unsigned i = 0; i < 8; i++)
        header[2 + i] = (uint8_t)((uint64_t)payload >> (56 - 8 * i));
    return 10;
}

/* Printable ASCII: valid as text, and what most text on the wire is. */
static void payload_build(uint8_t *payload, size_t len)
{
    static const char line[] = "{\"symbol\":\"ABC\",\"side\":\"buy\",\"price\":101.25,\"size\":300,\"time\":1700000000123}\n";

    for (size_t i = 0; i < len; i++)
        payload[i] = (uint8_t)line[i % (sizeof line - 1)];
}

static void frames_build(void)
{
    static const uint8_t key[4] = {0x37, 0xfa, 0x21, 0x3d};
    uint8_t header[HEADER_MAX], byte0 = options.text ? 0x81 : 0x82;
    size_t header_bytes = header_build(header, byte0, 0x80, options.payload_bytes), copies;
    uint8_t *payload;

    in_bytes = header_bytes + sizeof key + options.payload_bytes;
    out_bytes = header_bytes + options.payload_bytes;
    copies = FRAMES_BYTES / in_bytes;
    copies = copies < 1 ? 1 : copies > options.depth ? options.depth : copies;
    frames_bytes = copies * in_bytes;
    frames = malloc(frames_bytes);
    payload = malloc(options.payload_bytes + 1);
    read_buffer = malloc(READ_BYTES);
    if (frames == NULL || payload == NULL || read_buffer == NULL)
        die("out of memory");
    payload_build(payload, options.payload_bytes);
    memcpy(frames, header, header_bytes);
    memcpy(frames + header_bytes, key, sizeof key);
    for (size_t i = 0; i < options.payload_bytes; i++)
        frames[header_bytes + sizeof key + i] = payload[i] ^ key[i % 4];
    for (size_t i = 1; i < copies; i++)
        memcpy(frames + i * in_bytes, frames, in_bytes);

    reply_head_bytes = out_bytes < CHECKED_BYTES ? out_bytes : CHECKED_BYTES;
    for (unsigned i = 0; i < target_count; i++) {
        if (targets[i].raw) {
            memcpy(targets[i].reply_head, frames + in_bytes - out_bytes, reply_head_bytes);
        } else {
            header_build(targets[i].reply_head, byte0, 0, options.payload_bytes);
            memcpy(targets[i].reply_head + header_bytes, payload, reply_head_bytes - header_bytes);
        }
    }
    free(payload);
}

/* --- Connections -------------------------------------------------------------------------------------------------------- */

/* The request and key of RFC 6455 section 1.3, and the answer that belongs to that key. */
static void handshake(int fd)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    char answer[2048];
    size_t len = 0;

    if (send(fd, request, sizeof request - 1, MSG_NOSIGNAL) != (ssize_t)(sizeof request - 1))
        die("handshake: %s", strerror(errno));
    for (;;) {
        ssize_t n = recv(fd, answer + len, sizeof answer - 1 - len, 0);

        if (n <= 0)
            die("handshake: %s", n == 0 ? "closed" : strerror(errno));
        len += (size_t)n;
        answer[len] = '\0';
        if (len >= 4 && strcmp(answer + len - 4, "\r\n\r\n") == 0)
            break;
        if (len == sizeof answer - 1)
            die("handshake: the answer does not end");
    }
    if (strncmp(answer, "HTTP/1.1 101 ", 13) != 0 || strstr(answer, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") == NULL)
        die("handshake: refused: %.*s", (int)strcspn(answer, "\r"), answer);
}

static void connection_open(const struct target *target, struct connection *connection)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)target->port)};
    struct timeval timeout = {.tv_sec = STALL_SECONDS};
    struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = connection}};
    /* Closing with a reset leaves no TIME_WAIT behind: hundreds of runs would use up the ports. */
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) != 0)
        die("socket: %s", strerror(errno));
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        die("connect: %s", strerror(errno));
    if (!target->raw)
        handshake(fd);
    if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0 || epoll_ctl(target->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        die("epoll_ctl: %s", strerror(errno));
    connection->fd = fd;
}

static void connection_watch(struct connection *connection, int out)
{
    struct epoll_event event = {.events = out ? EPOLLIN | EPOLLOUT : EPOLLIN, .data = {.ptr = connection}};

    if (connection->wants_out == out)
        return;
    connection->wants_out = out;
    if (epoll_ctl(current->epoll, EPOLL_CTL_MOD, connection->fd, &event) != 0)
        die("epoll_ctl: %s", strerror(errno));
}

static void connection_send(struct connection *connection)
{
    while (connection->unsent > 0) {
        size_t len = frames_bytes - connection->send_at < connection->unsent ? frames_bytes - connection->send_at : connection->unsent;
        ssize_t n = send(connection->fd, frames + connection->send_at, len, MSG_NOSIGNAL);

        if (n < 0) {
            if (errno != EAGAIN)
                die("send: %s", strerror(errno));
            break;
        }
        connection->unsent -= (size_t)n;
        /* All frames are the same, so after a whole one the next may as well be the first. */
        connection->send_at = (connection->send_at + (size_t)n) % in_bytes;
    }
    connection_watch(connection, connection->unsent > 0);
}

static void messages_start(struct connection *connection, unsigned n)
{
    connection->waiting += n;
    outstanding += n;
    connection->unsent += n * in_bytes;
    connection_send(connection);
}

/* Counts the replies that end within len bytes, and checks their heads. */
static unsigned replies_check(struct connection *connection, const uint8_t *data, size_t len)
{
    unsigned complete = 0;

    while (len > 0) {
        size_t n = out_bytes - connection->reply_at < len ? out_bytes - connection->reply_at : len;

        if (connection->reply_at < reply_head_bytes) {
            size_t head = reply_head_bytes - connection->reply_at < n ? reply_head_bytes - connection->reply_at : n;

            if (memcmp(data, current->reply_head + connection->reply_at, head) != 0)
                die("a wrong reply, at byte %zu or after of %zu", connection->reply_at, out_bytes);
        }
        connection->reply_at += n;
        if (connection->reply_at == out_bytes) {
            connection->reply_at = 0;
            complete++;
        }
        data += n;
        len -= n;
    }
    if (complete > connection->waiting)
        die("more replies than messages");
    return complete;
}

static void connection_read(struct connection *connection)
{
    ssize_t n = recv(connection->fd, read_buffer, READ_BYTES, 0);
    unsigned complete;

    if (n <= 0) {
        if (n < 0 && errno == EAGAIN)
            return;
        die("recv: %s", n == 0 ? "the server closed" : strerror(errno));
    }
    complete = replies_check(connection, read_buffer, (size_t)n);
    if (complete == 0)
        return;
    connection->waiting -= complete;
    outstanding -= complete;
    replies += complete;
    if (!stopping)
        messages_start(connection, complete);
}

/* Keeps every window of a target full for so long, then waits for the last replies. Returns how long it all took. */
static double run(const struct target *target, double seconds)
{
    struct epoll_event events[EVENTS];
    double begin = now_seconds(), end = begin + seconds;

    current = target;
    replies = 0;
    stopping = 0;
    for (unsigned i = 0; i < options.connections; i++)
        messages_start(&target->connections[i], options.depth);
    while (outstanding > 0) {
        int n = epoll_wait(target->epoll, events, EVENTS, options.spin ? 0 : 100);
        double now = now_seconds();

        if (n < 0 && errno != EINTR)
            die("epoll_wait: %s", strerror(errno));
        if (now >= end)
            stopping = 1;
        if (now >= end + STALL_SECONDS)
            die("stalled: %lld messages without a reply", (long long)outstanding);
        for (int i = 0; i < n; i++) {
            struct connection *connection = events[i].data.ptr;

            if (events[i].events & EPOLLOUT)
                connection_send(connection);
            if (events[i].events & ~(uint32_t)EPOLLOUT)
                connection_read(connection);
        }
    }
    return now_seconds() - begin;
}

/* --- Measuring ----------------------------------------------------------------------------------------------------------- */

/* What the scheduler knows of one task. */
struct task {
    int64_t run_ns, wait_ns, sleeps;
};

static FILE *task_open(int pid, const char *task, const char *name)
{
    char path[320];

    snprintf(path, sizeof path, "/proc/%d/task/%s/%s", pid, task, name);
    return fopen(path, "r");
}

/* Adds a task of a process; one that has ended since adds nothing. */
static void task_add(struct task *sum, int pid, const char *task)
{
    long long run, wait, sleeps;
    char line[256];
    FILE *file = task_open(pid, task, "schedstat");

    if (file == NULL)
        return;
    if (fscanf(file, "%lld %lld", &run, &wait) != 2)
        die("/proc/%d/task/%s/schedstat: not understood", pid, task);
    fclose(file);
    sum->run_ns += run;
    sum->wait_ns += wait;
    file = task_open(pid, task, "status");
    if (file == NULL)
        return;
    while (fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "voluntary_ctxt_switches: %lld", &sleeps) == 1)
            sum->sleeps += sleeps;
    fclose(file);
}

/* All tasks of a process together. */
static struct task process_read(int pid)
{
    struct task sum = {0};
    char path[64];
    struct dirent *entry;
    DIR *tasks;

    snprintf(path, sizeof path, "/proc/%d/task", pid);
    tasks = opendir(path);
    if (tasks == NULL)
        die("%s: %s", path, strerror(errno));
    while ((entry = readdir(tasks)) != NULL)
        if (entry->d_name[0] != '.')
            task_add(&sum, pid, entry->d_name);
    closedir(tasks);
    return sum;
}

/*
 * A process that spins on the servers' core, a little less entitled to it than they are, for as long as this one lives. What it
 * takes they lack, so that they always have something to do, as at full load. Its time is its own and in no figure.
 */
static void brake_start(int core)
{
    cpu_set_t cores;
    pid_t load = getpid(), brake = fork();

    if (brake < 0)
        die("fork: %s", strerror(errno));
    if (brake > 0)
        return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != load)
        _exit(1);
    CPU_ZERO(&cores);
    CPU_SET((size_t)core, &cores);
    errno = 0;
    if (sched_setaffinity(0, sizeof cores, &cores) != 0 || (nice(BRAKE_NICE) == -1 && errno != 0))
        _exit(1);
    for (;;)
        __asm__ volatile("" ::: "memory");
}

/*
 * A counter of the cycles that a server's first thread, and those it starts from now on, spend in user space and the kernel. Time
 * that a hypervisor takes away is in a CPU time, not in this. It costs something at every task switch, so only on demand.
 */
static int cycles_open(int pid)
{
    struct perf_event_attr attributes = {
        .type = PERF_TYPE_HARDWARE, .size = sizeof attributes, .config = PERF_COUNT_HW_CPU_CYCLES, .inherit = 1, .exclude_hv = 1};
    int fd = (int)syscall(SYS_perf_event_open, &attributes, pid, -1, -1, PERF_FLAG_FD_CLOEXEC);

    if (fd < 0)
        die("--cycles: perf_event_open: %s", strerror(errno));
    return fd;
}

static int64_t cycles_read(const struct target *target)
{
    int64_t cycles = 0;

    if (options.cycles && read(target->cycles_fd, &cycles, sizeof cycles) != sizeof cycles)
        die("--cycles: %s", strerror(errno));
    return cycles;
}

/* The counters as they stand once all is quiet, in the fields of a slice. */
static struct slice counters(const struct target *target)
{
    const struct timespec settle = {.tv_nsec = SETTLE_NS};
    struct slice now = {0};

    struct task task;

    nanosleep(&settle, NULL);
    if (target->pid != 0) {
        task = process_read(target->pid);
        now.server_run_ns = task.run_ns;
        now.server_wait_ns = task.wait_ns;
        now.server_sleeps = task.sleeps;
    }
    task = process_read((int)getpid());
    now.load_run_ns = task.run_ns;
    now.load_wait_ns = task.wait_ns;
    now.server_cycles = cycles_read(target);
    return now;
}

static void slice_run(const struct target *target, struct slice *slice)
{
    struct slice before = counters(target);
    double seconds = run(target, options.seconds);

    *slice = counters(target);
    slice->messages = replies;
    slice->seconds = seconds;
    slice->server_run_ns -= before.server_run_ns;
    slice->server_wait_ns -= before.server_wait_ns;
    slice->server_sleeps -= before.server_sleeps;
    slice->load_run_ns -= before.load_run_ns;
    slice->load_wait_ns -= before.load_wait_ns;
    slice->server_cycles -= before.server_cycles;
}

/* Fisher and Yates; a 64-bit linear congruential generator is random enough for an order. */
static void shuffle(unsigned *order, unsigned n, uint64_t *state)
{
    for (unsigned i = n; i > 1; i--) {
        unsigned j, swapped;

        *state = *state * 6364136223846793005u + 1442695040888963407u;
        j = (unsigned)(*state >> 33) % i;
        swapped = order[i - 1];
        order[i - 1] = order[j];
        order[j] = swapped;
    }
}

static void report(void)
{
    printf("{\"in_bytes\": %zu, \"out_bytes\": %zu, \"targets\": [", in_bytes, out_bytes);
    for (unsigned i = 0; i < target_count; i++) {
        printf("%s{\"port\": %u, \"slices\": [", i > 0 ? ", " : "", targets[i].port);
        for (unsigned j = 0; j < options.slices; j++) {
            const struct slice *slice = &targets[i].slices[j];

            printf("%s{\"messages\": %lld, \"seconds\": %.6f, \"server_run_ns\": %lld, \"server_wait_ns\": %lld, "
                   "\"server_sleeps\": %lld, \"load_run_ns\": %lld, \"load_wait_ns\": %lld, \"server_cycles\": %lld}",
                   j > 0 ? ", " : "", (long long)slice->messages, slice->seconds, (long long)slice->server_run_ns,
                   (long long)slice->server_wait_ns, (long long)slice->server_sleeps, (long long)slice->load_run_ns,
                   (long long)slice->load_wait_ns, (long long)slice->server_cycles);
        }
        printf("]}");
    }
    printf("]}\n");
}

/* --- The command line ---------------------------------------------------------------------------------------------------- */

static void complain(const char *option, const char *text, const char *wanted)
{
    fprintf(stderr, "echo_load: --%s %s: %s\n", option, text, wanted);
    exit(2);
}

static double number(const char *option, const char *text, double min, double max)
{
    char *end, wanted[64];
    double value = strtod(text, &end);

    snprintf(wanted, sizeof wanted, "a number from %g to %g is wanted", min, max);
    if (end == text || *end != '\0' || !(value >= min && value <= max))
        complain(option, text, wanted);
    return value;
}

/* ws:PORT or raw:PORT, with :PID behind it if its CPU time is wanted. */
static void target_parse(const char *text)
{
    struct target *target = &targets[target_count];
    char mode[4] = "", rest;
    int n = sscanf(text, "%3[a-z]:%u:%d%c", mode, &target->port, &target->pid, &rest);

    target->raw = strcmp(mode, "raw") == 0;
    if (target_count == TARGETS_MAX || n < 2 || n > 3 || target->port == 0 || target->port > 65535 || target->pid < 0 ||
        (!target->raw && strcmp(mode, "ws") != 0))
        complain("target", text, "ws:PORT[:PID] or raw:PORT[:PID] is wanted, at most 16 times");
    target_count++;
}

static void options_parse(int argc, char **argv)
{
    static const struct option names[] = {
        {"target", required_argument, NULL, 'T'},  {"connections", required_argument, NULL, 'c'}, {"payload", required_argument, NULL, 'b'},
        {"depth", required_argument, NULL, 'd'},   {"seconds", required_argument, NULL, 's'},     {"warm-up", required_argument, NULL, 'w'},
        {"slices", required_argument, NULL, 'n'},  {"seed", required_argument, NULL, 'r'},        {"text", no_argument, NULL, 't'},
        {"spin", no_argument, NULL, 'y'},          {"brake", required_argument, NULL, 'B'},       {"cycles", no_argument, NULL, 'C'},
        {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0},
    };
    int option;

    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        switch (option) {
        case 'T': target_parse(optarg); break;
        case 'c': options.connections = (unsigned)number("connections", optarg, 1, 20000); break;
        case 'b': options.payload_bytes = (size_t)number("payload", optarg, 0, 1 << 28); break;
        case 'd': options.depth = (unsigned)number("depth", optarg, 1, 100000); break;
        case 's': options.seconds = number("seconds", optarg, 0.001, 60); break;
        case 'w': options.warm_up_seconds = number("warm-up", optarg, 0, 60); break;
        case 'n': options.slices = (unsigned)number("slices", optarg, 1, SLICES_MAX); break;
        case 'r': options.seed = (unsigned)number("seed", optarg, 0, 4294967295.0); break;
        case 't': options.text = 1; break;
        case 'y': options.spin = 1; break;
        case 'B': options.brake_core = (int)number("brake", optarg, 0, CPU_SETSIZE - 1); break;
        case 'C': options.cycles = 1; break;
        case 'h':
            printf("usage: echo_load --target ws:PORT[:PID] | raw:PORT[:PID] ... [--connections N] [--payload BYTES] [--text]\n"
                   "                 [--depth N] [--slices N] [--seconds S, of one slice] [--warm-up S] [--seed N]\n"
                   "                 [--spin] [--brake CORE] [--cycles]\n");
            exit(0);
        default: exit(2);
        }
    }
    if (optind != argc || target_count == 0) {
        fprintf(stderr, "echo_load: --target is wanted (--help)\n");
        exit(2);
    }
}

static void target_open(struct target *target)
{
    current = target;
    target->epoll = epoll_create1(EPOLL_CLOEXEC);
    target->connections = calloc(options.connections, sizeof *target->connections);
    target->slices = calloc(options.slices, sizeof *target->slices);
    if (target->epoll < 0 || target->connections == NULL || target->slices == NULL)
        die("epoll_create1: %s", strerror(errno));
    if (options.cycles)
        target->cycles_fd = cycles_open(target->pid);
    for (unsigned i = 0; i < options.connections; i++)
        connection_open(target, &target->connections[i]);
}

int main(int argc, char **argv)
{
    unsigned order[TARGETS_MAX];
    uint64_t random;

    options_parse(argc, argv);
    /* Whatever happens, this program ends. */
    alarm((unsigned)((options.seconds * options.slices + options.warm_up_seconds) * target_count) + 60);
    random = options.seed;
    if (options.brake_core >= 0)
        brake_start(options.brake_core);
    frames_build();
    for (unsigned i = 0; i < target_count; i++) {
        order[i] = i;
        target_open(&targets[i]);
        if (options.warm_up_seconds > 0)
            run(&targets[i], options.warm_up_seconds);
    }
    for (unsigned i = 0; i < options.slices; i++) {
        shuffle(order, target_count, &random);
        for (unsigned j = 0; j < target_count; j++)
            slice_run(&targets[order[j]], &targets[order[j]].slices[i]);
    }
    report();
    return 0;
}
