/*
 * proto/consume.c - which consume loop goes with which kernels.
 */
#include "proto/consume.h"

#include <string.h>

extern const struct wsr_consume wsr_consume_scalar;

static const struct wsr_consume *const loops[] = {
    &wsr_consume_scalar,
};

const struct wsr_consume *wsr_consume_for(const struct wsr_kernels *kernels)
{
    for (unsigned i = 0; i < sizeof loops / sizeof loops[0]; i++) {
        if (strcmp(loops[i]->name, kernels->name) == 0)
            return loops[i];
    }
    return &wsr_consume_scalar;
}
