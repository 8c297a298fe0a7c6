/*
 * base/config.h - configuration structs of older and newer headers. Each begins with its size_t size, as the caller's header
 * knew it; fields are only added at the end, and zero means the default.
 */
#ifndef WSR_BASE_CONFIG_H
#define WSR_BASE_CONFIG_H

#include <wsring/types.h>

/*
 * Copies a config of the caller's to one of to_size bytes: what an older header did not know is zero, and what a newer one
 * knows beyond must be zero. from NULL: all zero, but for size_t size. Returns 0, or WSR_ECONFIG: it says something we do not know, or is shorter than size_min.
 */
#define WSR_CONFIG_SIZE_PROBLEM "size is not set (begin with WSR_..._CONFIG_INIT), or something is asked for that this library does not know"

WSR_MUST_USE int wsr_config_take(void *to, size_t to_size, const void *from, size_t size_min);

#endif
