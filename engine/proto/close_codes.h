/*
 * proto/close_codes.h - the size of the close-code table, for those inside the library that walk or index it (the
 * reconnect policy's causes). The look-ups are public: wsring/close.h.
 */
#ifndef WSR_PROTO_CLOSE_CODES_H
#define WSR_PROTO_CLOSE_CODES_H

#include <wsring/close.h>

#ifdef __cplusplus
extern "C" {
#endif

/* 0-999; 1000 to 1015 singly; 1016-2999; 3000; 3001-3002; 3003; 3004-3007; 3008; 3009-3999; 4000-4999; 5000-65535. */
#define WSR_CLOSE_ROWS 26u

/* The rows in rising order of code, without hole or overlap. */
extern const wsr_close_info wsr_close_rows[WSR_CLOSE_ROWS];

#ifdef __cplusplus
}
#endif

#endif
