/*
 * tools/size_mix.h - which message sizes a load is made of, and how often each comes.
 *
 *     20                        always 20 bytes
 *     0-1MiB                    log-uniform: as many from 1 to 2 KiB as from 512 KiB to 1 MiB
 *     20:70,1KiB:25,64KiB:5     weighted; a part may be a range too
 *
 * The mix is laid out once as a table of sizes, so that drawing one is an index by random bits.
 */
#ifndef TOOLS_SIZE_MIX_H
#define TOOLS_SIZE_MIX_H

#include <stdint.h>

enum { SIZE_MIX_ENTRIES = 4096, SIZE_MIX_PARTS_MAX = 64 };

#define SIZE_MIX_BYTES_MAX (256u << 20)

struct size_mix {
    uint32_t max; /* the largest size in it, bytes */
    double mean;  /* bytes */
    uint32_t sizes[SIZE_MIX_ENTRIES];
};

/* Returns NULL and fills *out, or says in one line (static storage) what is wrong with text. */
const char *size_mix_parse(const char *text, struct size_mix *out);

/* A size, chosen by random bits. */
static inline uint32_t size_mix_draw(const struct size_mix *mix, uint64_t random)
{
    return mix->sizes[random % SIZE_MIX_ENTRIES];
}

#endif
