/*
 * tools/tls.h - the options about TLS that commands share, as children for their argp, and a wsr_tls made of them.
 */
#ifndef TOOLS_TLS_H
#define TOOLS_TLS_H

#include <argp.h>
#include <wsring/tls.h>

/* Their input is a wsr_tls_config, begun with WSR_TLS_CONFIG_INIT; the parent sets it in child_inputs at ARGP_KEY_INIT. */
extern const struct argp tls_server_argp; /* --tls-cert, --tls-key, --tls-self-signed, --tls-client-ca, --keylog */
extern const struct argp tls_client_argp; /* --tls-ca, --insecure, --tls-cert, --tls-key, --keylog */

/* Does a server's config ask for TLS? */
static inline bool tls_is_asked_for(const wsr_tls_config *config)
{
    return config->certificate != NULL || config->self_signed != NULL;
}

/* Does a client's ask for anything but what an engine does by itself (the system's roots)? */
static inline bool tls_is_told_how(const wsr_tls_config *config)
{
    return config->trust != NULL || config->certificate != NULL || config->verify_none || config->keylog != NULL;
}

/*
 * Opens one. NULL, after a complaint that begins with the command's name: it cannot be had. A client that verifies nothing is told
 * so, on standard error.
 */
wsr_tls *tls_open(const char *command, const wsr_tls_config *config);

/*
 * From now on SIGHUP reads certificate, key and trust again, on a thread of its own, and says on standard error how that went. To be
 * called before there is a second thread, since it blocks the signal in all of them. tls must outlive the process's last signal.
 */
void tls_reload_on_hangup(const char *command, wsr_tls *tls);

#endif
