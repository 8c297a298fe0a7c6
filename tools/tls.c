/*
 * tools/tls.c - see tls.h.
 */
#include "tools/tls.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "tools/cmd.h"

enum { KEY_CERTIFICATE = 0x1000, KEY_KEY, KEY_SELF_SIGNED, KEY_CLIENT_CA, KEY_CA, KEY_INSECURE, KEY_KEYLOG };

#define SELF_SIGNED_NAMES "localhost, 127.0.0.1, ::1"

static const struct argp_option server_options[] = {
    {"tls-cert", KEY_CERTIFICATE, "FILE", 0, "serve wss: this certificate, and those between it and a root (PEM); read again at SIGHUP", 5},
    {"tls-key", KEY_KEY, "FILE", 0, "its private key (PEM) (in the certificate's file)", 5},
    {"tls-self-signed", KEY_SELF_SIGNED, "NAMES", OPTION_ARG_OPTIONAL,
     "serve wss with a certificate made now, to try things out (localhost, 127.0.0.1, ::1)", 5},
    {"tls-client-ca", KEY_CLIENT_CA, "FILE", 0, "let in only clients with a certificate by one of these roots (PEM)", 5},
    {"keylog", KEY_KEYLOG, "FILE", 0, "append TLS secrets to FILE, so that Wireshark can decrypt what was recorded", 5},
    {0},
};

static const struct argp_option client_options[] = {
    {"tls-ca", KEY_CA, "FILE", 0, "trust these roots (PEM file, or folder) and no others (the system's)", 5},
    {"insecure", KEY_INSECURE, NULL, 0, "believe any certificate: anybody in between can read and change everything", 5},
    {"tls-cert", KEY_CERTIFICATE, "FILE", 0, "our own certificate, for servers that ask for one (PEM)", 5},
    {"tls-key", KEY_KEY, "FILE", 0, "its private key (PEM) (in the certificate's file)", 5},
    {"keylog", KEY_KEYLOG, "FILE", 0, "append TLS secrets to FILE, so that Wireshark can decrypt what was recorded", 5},
    {0},
};

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    wsr_tls_config *config = state->input;
    switch (key) {
    case KEY_CERTIFICATE:
        config->certificate = value;
        break;
    case KEY_KEY:
        config->key = value;
        break;
    case KEY_SELF_SIGNED:
        config->self_signed = value != NULL ? value : SELF_SIGNED_NAMES;
        break;
    case KEY_CLIENT_CA:
    case KEY_CA:
        config->trust = value;
        break;
    case KEY_INSECURE:
        config->verify_none = true;
        break;
    case KEY_KEYLOG:
        config->keylog = value;
        break;
    case ARGP_KEY_END:
        if (config->certificate != NULL && config->self_signed != NULL)
            argp_error(state, "--tls-cert and --tls-self-signed: one of them");
        if (config->key != NULL && config->certificate == NULL)
            argp_error(state, "--tls-key without --tls-cert");
        if (config->role == WSR_SERVER && !tls_is_asked_for(config) && (config->trust != NULL || config->keylog != NULL))
            argp_error(state, "--tls-client-ca and --keylog are for wss: with --tls-cert or --tls-self-signed");
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

const struct argp tls_server_argp = {server_options, parse_option, NULL, NULL, NULL, NULL, NULL};
const struct argp tls_client_argp = {client_options, parse_option, NULL, NULL, NULL, NULL, NULL};

wsr_tls *tls_open(const char *command, const wsr_tls_config *config)
{
    wsr_tls *tls = NULL;
    char why[256] = "";
    int error = wsr_tls_open(&tls, config, why, sizeof why);
    if (error < 0)
        cmd_complain(command, "%s", why[0] != '\0' ? why : wsr_error_text(error));
    else if (config->verify_none)
        cmd_complain(command, "--insecure: whoever answers is believed, whatever certificate it has");
    return tls;
}

/* ---- reload ---- */

static struct {
    const char *command;
    wsr_tls *tls;
    sigset_t signals;
} hangup;

static void *wait_for_hangups(void *context)
{
    (void)context;
    int number;
    while (sigwait(&hangup.signals, &number) == 0) {
        char why[256] = "";
        int error = wsr_tls_reload(hangup.tls, why, sizeof why);
        if (error == WSR_OK)
            cmd_complain(hangup.command, "certificate read again");
        else
            cmd_complain(hangup.command, "the certificate stays as it was: %s", why[0] != '\0' ? why : wsr_error_text(error));
    }
    return NULL;
}

void tls_reload_on_hangup(const char *command, wsr_tls *tls)
{
    hangup.command = command;
    hangup.tls = tls;
    sigemptyset(&hangup.signals);
    sigaddset(&hangup.signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &hangup.signals, NULL);
    pthread_t thread;
    int error = pthread_create(&thread, NULL, wait_for_hangups, NULL);
    if (error != 0)
        cmd_complain(command, "no thread for SIGHUP: %s", strerror(error));
    else
        pthread_detach(thread);
}
