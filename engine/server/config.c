/*
 * server/config.c - what may be wrong with a listener's configuration.
 */
#include <string.h>

#include "base/config.h"
#include "conn/front.h"
#include "proto/admission.h"
#include "proto/deflate_offer.h"
#include "proto/handshake.h"
#include "proto/upgrade.h"
#include "ring/sys.h"
#include "server/server.h"

static const char *judge(const wsr_listen_config *config)
{
    if (config->fd < 0)
        return "fd is below 0";
    if (config->fd > 0 && config->adopt_only)
        return "fd is there, and adopt_only says that there is none";
    if (!wsr_sys_options_ok(&config->socket))
        return "socket.dscp is over 63";
    if (!wsr_front_suits(config->tls, WSR_SERVER))
        return "tls is a client's";
    if (!wsr_deflate_config_valid(&config->deflate))
        return "deflate has a level over 9, or window bits other than 8 to 15";
    if (!wsr_upgrade_subprotocols_valid(wsr_slice_of(config->subprotocols)))
        return "subprotocols is no list of different tokens: \"chat, v2.chat\"";
    if (!wsr_admission_origins_valid(wsr_slice_of(config->origins)))
        return "origins is no list of origins: \"https://example.com, https://example.com:8443\", null, none";
    if (!wsr_admission_paths_valid(wsr_slice_of(config->paths)))
        return "paths is no list of paths: \"/, /chat\", without query";
    const wsr_endpoint_config endpoint = {.role = WSR_SERVER, .subprotocols = config->subprotocols, .origins = config->origins, .paths = config->paths};
    return wsr_handshake_check(&endpoint) < 0 ? "subprotocols, origins or paths hold a control character" : NULL;
}

const char *wsr_listen_problem(const wsr_listen_config *from)
{
    wsr_listen_config config;
    return wsr_config_take(&config, sizeof config, from, sizeof from->size) < 0 ? WSR_CONFIG_SIZE_PROBLEM : judge(&config);
}
