/*
 * base/config.c - see config.h.
 */
#include "base/config.h"

#include <string.h>

int wsr_config_take(void *to, size_t to_size, const void *from, size_t size_min)
{
    const uint8_t *bytes = from;
    size_t size;
    memset(to, 0, to_size);
    if (from == NULL)
        return WSR_OK;
    memcpy(&size, from, sizeof size);
    if (size < size_min || size < sizeof size)
        return WSR_ECONFIG;
    for (size_t i = to_size; i < size; i++) {
        if (bytes[i] != 0)
            return WSR_ECONFIG;
    }
    memcpy(to, from, size < to_size ? size : to_size);
    return WSR_OK;
}
