/*
 * proto/extension.h - the syntax of Sec-WebSocket-Extensions (RFC 6455 section 9.1), on both sides.
 *
 *     extension-list  = 1#extension
 *     extension       = token *( ";" extension-param )
 *     extension-param = token [ "=" ( token | quoted-string whose content, unescaped, is a token ) ]
 *
 * Two iterators over a header's value: extensions, and the parameters of one. What a name or parameter means is not
 * known here; that is the extension's own file. Pure; slices lie in the input.
 */
#ifndef WSR_PROTO_EXTENSION_H
#define WSR_PROTO_EXTENSION_H

#include <wsring/types.h>

struct wsr_extension {
    wsr_slice name;
    wsr_slice params; /* for wsr_extension_param_next */
};

struct wsr_extension_param {
    wsr_slice name;
    wsr_slice value; /* ptr NULL if there is none; of a quoted one what is between the quotes, backslashes included */
};

/* Takes the next extension off list. Returns 1, 0 at the end, -1 for a syntax error. Empty items are passed over (#rule). */
WSR_MUST_USE int wsr_extension_next(wsr_slice *list, struct wsr_extension *extension);

/* Takes the next parameter off extension.params, whose syntax wsr_extension_next has checked. False at the end. */
bool wsr_extension_param_next(wsr_slice *params, struct wsr_extension_param *param);

#endif
