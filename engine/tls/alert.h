/*
 * tls/alert.h - what an alert says (RFC 8446 section 6 and the IANA registry "TLS Alerts"), for a person.
 */
#ifndef WSR_TLS_ALERT_H
#define WSR_TLS_ALERT_H

#include <stdint.h>

/* "the peer's alert: unknown CA". One line, static. */
const char *wsr_tls_alert_text(uint8_t alert);

/* What is wrong with a certificate, by X509_verify_cert's X509_V_ERR_*. One line, static. */
const char *wsr_tls_verify_text(long error);

#endif
