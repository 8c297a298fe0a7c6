/*
 * ring/address.c - socket addresses from and to text (sys.h). No system call here, so the simulator uses it too.
 */
#include "ring/sys.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

int wsr_sys_address(const char *host, uint16_t port, union wsr_address *out, socklen_t *len)
{
    memset(out, 0, sizeof *out);
    if (inet_pton(AF_INET, host, &out->in4.sin_addr) == 1) {
        out->in4.sin_family = AF_INET;
        out->in4.sin_port = htons(port);
        *len = sizeof out->in4;
        return 0;
    }
    char bare[INET6_ADDRSTRLEN];
    size_t n = strlen(host);
    if (n >= 2 && host[0] == '[' && host[n - 1] == ']') {
        host++;
        n -= 2;
    }
    if (n >= sizeof bare)
        return -EINVAL;
    memcpy(bare, host, n);
    bare[n] = '\0';
    if (inet_pton(AF_INET6, bare, &out->in6.sin6_addr) != 1)
        return -EINVAL;
    out->in6.sin6_family = AF_INET6;
    out->in6.sin6_port = htons(port);
    *len = sizeof out->in6;
    return 0;
}

void wsr_sys_address_text(const union wsr_address *address, char *text, size_t cap)
{
    char host[INET6_ADDRSTRLEN] = "?";
    if (address->any.sa_family == AF_INET) {
        (void)inet_ntop(AF_INET, &address->in4.sin_addr, host, sizeof host);
        snprintf(text, cap, "%s:%u", host, (unsigned)ntohs(address->in4.sin_port));
    } else if (address->any.sa_family == AF_INET6) {
        (void)inet_ntop(AF_INET6, &address->in6.sin6_addr, host, sizeof host);
        snprintf(text, cap, "[%s]:%u", host, (unsigned)ntohs(address->in6.sin6_port));
    } else {
        snprintf(text, cap, "?");
    }
}
