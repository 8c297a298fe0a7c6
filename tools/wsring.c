/*
 * tools/wsring.c - the command: finds the subcommand, and hands over.
 *
 * It is a program on the library's public headers, as anybody else's would be.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <argp.h>

#include <wsring/simd.h>

#include "tools/cmd.h"

struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *what;
};

static const struct command commands[] = {
    {"serve", wsr_cmd_serve, "run an echo server"},
    {"connect", wsr_cmd_connect, "talk to a server, by hand or in a pipe"},
    {"load", wsr_cmd_load, "put load on an echo server, verify every byte, measure"},
    {"explain", wsr_cmd_explain, "say what close codes mean and what to do about them"},
    {"reconnect-js", wsr_cmd_reconnect_js, "print a module that lets a page in a browser come back by the same rules"},
    {"doctor", wsr_cmd_doctor, "say what this host has for an engine, what it withholds, and what is worth changing"},
    {"demo", wsr_cmd_demo, "serve, load and drain in front of your eyes, and account for every message"},
};

enum { COMMANDS_N = sizeof commands / sizeof commands[0] };

static const struct command *find(const char *name)
{
    for (unsigned i = 0; i < COMMANDS_N; i++) {
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    }
    return NULL;
}

static void usage(FILE *to)
{
    fputs("Usage: wsring COMMAND [OPTION...]\n"
          "WebSocket over io_uring.\n\n",
          to);
    for (unsigned i = 0; i < COMMANDS_N; i++)
        fprintf(to, "  %-12s  %s\n", commands[i].name, commands[i].what);
    fputs("  help          this text; `wsring help COMMAND' and `wsring COMMAND --help' say more\n"
          "  version       the version, and the SIMD kernels in use\n\n"
          "Environment: WSRING_ISA=avx512|avx2|sse41|neon|scalar chooses the kernels.\n"
          CMD_EXITS_TEXT "All commands have 0, 1, 2 and 78; the others are those of `wsring connect'.\n",
          to);
}

static int version(void)
{
    printf("wsring %s\nkernels: %s\n", wsr_version(), wsr_simd_name());
    return WSR_EXIT_OK;
}

static int run(const struct command *command, int argc, char **argv)
{
    char name[32];
    snprintf(name, sizeof name, "wsring %s", command->name);
    argv[0] = name;
    /* argp would exit with EX_USAGE, 64. */
    argp_err_exit_status = WSR_EXIT_USAGE;
    return command->run(argc, argv);
}

static int unknown(const char *name)
{
    fprintf(stderr, "wsring: there is no command '%s'; `wsring --help' lists them\n", name);
    return WSR_EXIT_USAGE;
}

static int help(int argc, char **argv)
{
    if (argc < 3) {
        usage(stdout);
        return WSR_EXIT_OK;
    }
    const struct command *command = find(argv[2]);
    if (command == NULL)
        return unknown(argv[2]);
    char option[] = "--help";
    char *arguments[] = {argv[0], option, NULL};
    return run(command, 2, arguments);
}

/*
 * Started without one of the standard descriptors (`>&-'), a ring or socket would get its number, and what is printed would go there.
 * In its place is one that fails: /dev/null, open the wrong way round.
 */
static void guard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
            (void)!open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
    }
}

/* A result that nobody got is no success, whichever command had it to say. */
static void finish_output(int status, void *unused)
{
    (void)unused;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return;
    fprintf(stderr, "wsring: cannot write to standard output: %s\n", errno != 0 ? strerror(errno) : "lost");
    if (status == WSR_EXIT_OK)
        _exit(WSR_EXIT_FAILED);
}

int main(int argc, char **argv)
{
    guard_descriptors();
    on_exit(finish_output, NULL);
    if (!cmd_select_kernels())
        return WSR_EXIT_USAGE;
    if (argc < 2) {
        usage(stderr);
        return WSR_EXIT_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "-?") == 0)
        return help(argc, argv);
    if (strcmp(name, "version") == 0 || strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0)
        return version();
    const struct command *command = find(name);
    if (command == NULL)
        return unknown(name);
    return run(command, argc - 1, argv + 1);
}
