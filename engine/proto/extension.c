/*
 * proto/extension.c - see extension.h. RFC 6455 section 9.1; blanks may stand between any two parts (RFC 6455 section
 * 2.1 takes the implied *LWS rule from RFC 2616).
 */
#include "proto/extension.h"

#include "proto/http.h"

static void skip_blanks(wsr_slice *rest)
{
    while (rest->len != 0 && (rest->ptr[0] == ' ' || rest->ptr[0] == '\t')) {
        rest->ptr++;
        rest->len--;
    }
}

/* Takes one character off, if it comes next. */
static bool take(wsr_slice *rest, uint8_t c)
{
    if (rest->len == 0 || rest->ptr[0] != c)
        return false;
    rest->ptr++;
    rest->len--;
    return true;
}

static bool take_token(wsr_slice *rest, wsr_slice *token)
{
    size_t n = 0;
    while (n < rest->len && wsr_http_is_tchar(rest->ptr[n]))
        n++;
    *token = (wsr_slice){rest->ptr, n};
    rest->ptr += n;
    rest->len -= n;
    return n != 0;
}

/* "When using the quoted-string syntax variant, the value after quoted-string unescaping MUST conform to the 'token' ABNF." */
static bool take_quoted(wsr_slice *rest, wsr_slice *value)
{
    value->ptr = rest->ptr;
    size_t i = 0;
    for (size_t characters = 0; i < rest->len; characters++) {
        if (rest->ptr[i] == '"') {
            value->len = i;
            rest->ptr += i + 1;
            rest->len -= i + 1;
            return characters != 0;
        }
        if (rest->ptr[i] == '\\' && ++i == rest->len)
            return false;
        if (!wsr_http_is_tchar(rest->ptr[i++]))
            return false;
    }
    return false;
}

/* Takes ";" and a parameter off. 1, 0 if there is no ";", -1 for a syntax error. */
static int take_param(wsr_slice *rest, struct wsr_extension_param *param)
{
    skip_blanks(rest);
    if (!take(rest, ';'))
        return 0;
    skip_blanks(rest);
    if (!take_token(rest, &param->name))
        return -1;
    param->value = (wsr_slice){NULL, 0};
    skip_blanks(rest);
    if (!take(rest, '='))
        return 1;
    skip_blanks(rest);
    bool ok = take(rest, '"') ? take_quoted(rest, &param->value) : take_token(rest, &param->value);
    return ok ? 1 : -1;
}

int wsr_extension_next(wsr_slice *list, struct wsr_extension *extension)
{
    do
        skip_blanks(list);
    while (take(list, ','));
    if (list->len == 0)
        return 0;
    if (!take_token(list, &extension->name))
        return -1;

    extension->params.ptr = list->ptr;
    struct wsr_extension_param param;
    int taken;
    do
        taken = take_param(list, &param);
    while (taken > 0);
    if (taken < 0)
        return -1;
    extension->params.len = (size_t)(list->ptr - extension->params.ptr);
    if (list->len != 0 && !take(list, ','))
        return -1;
    return 1;
}

bool wsr_extension_param_next(wsr_slice *params, struct wsr_extension_param *param)
{
    return take_param(params, param) > 0;
}
