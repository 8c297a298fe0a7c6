/*
 * tests/lib/storm_predict.h - what virtual time says of a storm: the policy and a bucket alone, without sockets, clocks or an
 * engine, told when each client lost its connection and when the server was there again; many times over, for an expectation.
 */
#ifndef TESTS_LIB_STORM_PREDICT_H
#define TESTS_LIB_STORM_PREDICT_H

#include <wsring/client.h>

enum {
    STORM_BUCKETS = 400,  /* of 100 ms */
    STORM_ORDERS = 6      /* first attempts, second attempts ... */
};

#define STORM_BUCKET_NS UINT64_C(100000000)

/* How late this host was about its attempts, on average: those due in each 20 ms. A host that is busy is late for all alike. */
enum { STORM_LATES = 2000 };

#define STORM_LATE_NS UINT64_C(20000000)

struct storm_lateness {
    uint64_t sum_ns[STORM_LATES];
    uint32_t n[STORM_LATES];
};

void storm_late(struct storm_lateness *lateness, uint64_t due_ns, uint64_t late_ns);

/* One outage; times from its beginning. */
struct storm_outage {
    const uint64_t *lost_ns; /* rising: of each client */
    unsigned clients;
    uint64_t up_ns, busy_until_ns; /* refused before up; 503 with Retry-After until busy_until */
    const struct storm_lateness *lateness;
    const wsr_reconnect *policy;
    uint32_t bucket_attempts, bucket_burst; /* a second; full at the beginning */
};

struct storm_counts {
    double at[STORM_ORDERS][STORM_BUCKETS]; /* attempts, by their number in the outage and by time */
    double beyond[STORM_ORDERS];            /* later than that */
    double later;                           /* of higher orders */
};

void storm_count(struct storm_counts *counts, uint32_t attempt, uint64_t at_ns);

/* Adds what is to be expected, the mean of `times` runs. */
void storm_predict(struct storm_counts *expected, const struct storm_outage *outage, unsigned times, uint64_t seed);

/*
 * Chi-square of one order's attempts. A client has one of them an outage at most, so the counts and those without are one
 * multinomial draw of `draws`; buckets in which less than 10 are expected are taken together. Returns the degrees of freedom;
 * 0: there are too few to judge. *limit: beyond it once in 10,000 storms.
 */
unsigned storm_chi_square(const struct storm_counts *seen, const struct storm_counts *expected, unsigned order, double draws, double *chi, double *limit);

#endif
