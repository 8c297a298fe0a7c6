/*
 * bench/preload/count_allocations.c - stands before malloc and its kin (LD_PRELOAD) and counts the calls.
 *
 * The count is 8 bytes in the file that COUNT_ALLOCATIONS names, shared, so that whoever measures reads it while the program runs.
 * A program that brings an allocator of its own is not seen. glibc only: it calls through to glibc's own names.
 */
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *memory, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

static uint64_t unshared;
static uint64_t *count = &unshared;

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("COUNT_ALLOCATIONS");
    int fd = path != NULL ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
    void *shared;

    if (fd < 0)
        return;
    if (ftruncate(fd, sizeof *count) == 0) {
        shared = mmap(NULL, sizeof *count, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (shared != MAP_FAILED)
            count = shared;
    }
    close(fd);
}

static void one(void)
{
    __atomic_fetch_add(count, 1, __ATOMIC_RELAXED);
}

void *malloc(size_t size)
{
    one();
    return __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    one();
    return __libc_calloc(n, size);
}

void *realloc(void *memory, size_t size)
{
    one();
    return __libc_realloc(memory, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    one();
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **memory, size_t alignment, size_t size)
{
    one();
    *memory = __libc_memalign(alignment, size);
    return *memory != NULL ? 0 : 12 /* ENOMEM */;
}
