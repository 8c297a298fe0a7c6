/*
 * tests/cli/refuse.c - runs a command under a seccomp filter that answers one system call with an error.
 *
 *     refuse io_uring_setup|bind EPERM|ENOSYS|ENOMEM|EACCES COMMAND [ARGUMENT...]
 *
 * This is what Docker's default profile does to io_uring_setup; no privilege is needed, and nothing but COMMAND sees it.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

struct name {
    const char *name;
    unsigned value;
};

static const struct name calls[] = {{"io_uring_setup", __NR_io_uring_setup}, {"bind", __NR_bind}, {NULL, 0}};
static const struct name errors[] = {{"EPERM", EPERM}, {"ENOSYS", ENOSYS}, {"ENOMEM", ENOMEM}, {"EACCES", EACCES}, {NULL, 0}};

static const struct name *find(const struct name *names, const char *name)
{
    while (names->name != NULL && strcmp(names->name, name) != 0)
        names++;
    return names->name != NULL ? names : NULL;
}

int main(int argc, char **argv)
{
    const struct name *call = argc > 3 ? find(calls, argv[1]) : NULL, *error = argc > 3 ? find(errors, argv[2]) : NULL;
    if (call == NULL || error == NULL) {
        fprintf(stderr, "usage: refuse io_uring_setup|bind EPERM|ENOSYS|ENOMEM|EACCES COMMAND [ARGUMENT...]\n");
        return 2;
    }
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call->value, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error->value),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof filter[0], filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
        perror("refuse: seccomp");
        return 3;
    }
    execvp(argv[3], argv + 3);
    perror(argv[3]);
    return 127;
}
