/*
 * policy/causes.h - the one table of causes, for the policy itself. The look-ups are public: wsring/policy.h.
 */
#ifndef WSR_POLICY_CAUSES_H
#define WSR_POLICY_CAUSES_H

#include <wsring/policy.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A row: what the cause is, and what each profile does about it. */
struct wsr_cause_row {
    wsr_cause_info info;
    const wsr_policy_row *policies[WSR_PROFILES];
};

extern const struct wsr_cause_row wsr_cause_rows[WSR_CAUSES];

#ifdef __cplusplus
}
#endif

#endif
