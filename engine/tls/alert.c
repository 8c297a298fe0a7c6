/*
 * tls/alert.c - see alert.h.
 */
#include "tls/alert.h"

#include <openssl/x509_vfy.h>

#define PEER "the peer's alert: "

const char *wsr_tls_alert_text(uint8_t alert)
{
    switch (alert) {
    case 10: return PEER "unexpected message";
    case 20: return PEER "bad record MAC";
    case 22: return PEER "record overflow";
    case 40: return PEER "handshake failure (no cipher, version or key exchange in common)";
    case 42: return PEER "bad certificate";
    case 43: return PEER "unsupported certificate";
    case 44: return PEER "certificate revoked";
    case 45: return PEER "certificate expired";
    case 46: return PEER "certificate unknown (it does not accept ours)";
    case 47: return PEER "illegal parameter";
    case 48: return PEER "unknown CA (it does not trust our certificate's issuer)";
    case 49: return PEER "access denied";
    case 50: return PEER "decode error";
    case 51: return PEER "decrypt error";
    case 70: return PEER "protocol version (it does not speak the TLS versions offered)";
    case 71: return PEER "insufficient security";
    case 80: return PEER "internal error";
    case 86: return PEER "inappropriate fallback";
    case 90: return PEER "user canceled";
    case 100: return PEER "no renegotiation";
    case 109: return PEER "missing extension";
    case 110: return PEER "unsupported extension";
    case 112: return PEER "unrecognized name (it has no certificate for this host)";
    case 113: return PEER "bad certificate status response";
    case 115: return PEER "unknown PSK identity";
    case 116: return PEER "certificate required (it wants one of ours)";
    case 120: return PEER "no application protocol (ALPN) in common";
    default: return PEER "one that is not in the registry";
    }
}

const char *wsr_tls_verify_text(long error)
{
    switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED: return "the certificate has expired";
    case X509_V_ERR_CERT_NOT_YET_VALID: return "the certificate is not valid yet";
    case X509_V_ERR_HOSTNAME_MISMATCH: return "the certificate is for another host";
    case X509_V_ERR_IP_ADDRESS_MISMATCH: return "the certificate is for another address";
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT: return "the certificate is self-signed, and not among those trusted";
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN: return "the certificate's issuer is not trusted: its root is not among those trusted";
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        return "the certificate's issuer is not trusted: it is not known here, or a certificate between it and a root was not sent";
    default: return X509_verify_cert_error_string(error); /* static */
    }
}
