/*
 * base/error.c - the error table of wsring/types.h, looked up.
 */
#include "base/bytes.h"

struct row {
    int value;
    uint16_t close_code;
    const char *name;
    const char *text;
};

static const struct row rows[] = {
#define ROW(name, value, close_code, text) {(value), (close_code), #name, text},
    WSR_ERRORS(ROW)
#undef ROW
};

static const struct row unknown = {0, 0, "WSR_EUNKNOWN", "an error this library does not know"};

static const struct row *row_of(int error)
{
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].value == error)
            return &rows[i];
    }
    return &unknown;
}

const char *wsr_error_name(int error)
{
    return row_of(error)->name;
}

const char *wsr_error_text(int error)
{
    return row_of(error)->text;
}

wsr_slice wsr_error_slice(int error)
{
    const char *text = row_of(error)->text;
    return (wsr_slice){(const uint8_t *)text, strlen(text)};
}

uint16_t wsr_error_close_code(int error)
{
    return row_of(error)->close_code;
}

const char *wsr_version(void)
{
    return WSR_VERSION;
}
