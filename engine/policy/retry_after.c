/*
 * policy/retry_after.c - the value of a Retry-After header: seconds, or a date (RFC 9110 sections 10.2.3 and 5.6.7).
 *
 * Not here: the header itself, and how long a server's wish is honoured (policy.c caps it).
 */
#include <string.h>

#include <wsring/policy.h>

/* What is left to read. */
struct text {
    const char *p;
    size_t len;
};

struct date {
    int64_t year;
    unsigned month, day, hour, minute, second; /* month and day from 1 */
    bool two_digits;                           /* of the year */
};

static bool take_text(struct text *t, const char *what, size_t len)
{
    if (t->len < len || memcmp(t->p, what, len) != 0)
        return false;
    t->p += len;
    t->len -= len;
    return true;
}

static bool take_char(struct text *t, char c)
{
    return take_text(t, &c, 1);
}

/* Exactly so many digits. */
static bool take_number(struct text *t, size_t digits, unsigned *out)
{
    *out = 0;
    if (t->len < digits)
        return false;
    for (size_t i = 0; i < digits; i++) {
        if (t->p[i] < '0' || t->p[i] > '9')
            return false;
        *out = *out * 10 + (unsigned)(t->p[i] - '0');
    }
    t->p += digits;
    t->len -= digits;
    return true;
}

/* The index of the name that comes next, from 0. "HTTP-date is case sensitive." */
static bool take_name(struct text *t, const char *const *names, unsigned n, unsigned *out)
{
    for (unsigned i = 0; i < n; i++) {
        size_t len = 0;
        while (len < t->len && names[i][len] == t->p[len] && names[i][len] != '\0')
            len++;
        if (names[i][len] == '\0') {
            t->p += len;
            t->len -= len;
            *out = i;
            return true;
        }
    }
    return false;
}

static bool take_month(struct text *t, unsigned *month)
{
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    const bool found = take_name(t, months, 12, month);
    *month += 1;
    return found;
}

static bool take_time(struct text *t, struct date *d)
{
    return take_number(t, 2, &d->hour) && take_char(t, ':') && take_number(t, 2, &d->minute) && take_char(t, ':') &&
           take_number(t, 2, &d->second);
}

static bool take_short_day(struct text *t)
{
    static const char *const days[] = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};
    unsigned day;
    return take_name(t, days, 7, &day);
}

/* IMF-fixdate: "Sun, 06 Nov 1994 08:49:37 GMT" */
static bool parse_imf(struct text t, struct date *d)
{
    unsigned year = 0;
    const bool good = take_short_day(&t) && take_text(&t, ", ", 2) && take_number(&t, 2, &d->day) && take_char(&t, ' ') &&
                      take_month(&t, &d->month) && take_char(&t, ' ') && take_number(&t, 4, &year) && take_char(&t, ' ') &&
                      take_time(&t, d) && take_text(&t, " GMT", 4);
    d->year = year;
    return good && t.len == 0;
}

/* rfc850-date: "Sunday, 06-Nov-94 08:49:37 GMT" */
static bool parse_rfc850(struct text t, struct date *d)
{
    static const char *const days[] = {"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"};
    unsigned day, year = 0;
    const bool good = take_name(&t, days, 7, &day) && take_text(&t, ", ", 2) && take_number(&t, 2, &d->day) && take_char(&t, '-') &&
                      take_month(&t, &d->month) && take_char(&t, '-') && take_number(&t, 2, &year) && take_char(&t, ' ') &&
                      take_time(&t, d) && take_text(&t, " GMT", 4);
    d->year = year;
    d->two_digits = true;
    return good && t.len == 0;
}

/* asctime-date: "Sun Nov  6 08:49:37 1994"; a day of one digit stands behind two spaces */
static bool parse_asctime(struct text t, struct date *d)
{
    unsigned year = 0;
    const bool good = take_short_day(&t) && take_char(&t, ' ') && take_month(&t, &d->month) && take_char(&t, ' ') &&
                      (take_char(&t, ' ') ? take_number(&t, 1, &d->day) : take_number(&t, 2, &d->day)) && take_char(&t, ' ') &&
                      take_time(&t, d) && take_char(&t, ' ') && take_number(&t, 4, &year);
    d->year = year;
    return good && t.len == 0;
}

static bool is_leap(int64_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static bool is_date(const struct date *d)
{
    static const unsigned char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (d->month < 1 || d->month > 12 || d->day < 1 || d->hour > 23 || d->minute > 59 || d->second > 60) /* 60: a leap second */
        return false;
    return d->day <= days[d->month - 1] + (d->month == 2 && is_leap(d->year) ? 1u : 0u);
}

/* Days from 1970-01-01 in the Gregorian calendar, year 0 to 9999: years begin in March here, so a leap day ends one. */
static int64_t days_of(int64_t year, unsigned month, unsigned day)
{
    const int64_t y = year - (month <= 2) + 400; /* never negative */
    const int64_t era = y / 400, year_of_era = y % 400;
    const int64_t day_of_year = (153 * (int64_t)((month + 9) % 12) + 2) / 5 + day - 1;
    const int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468 - 146097; /* 719468: days from 0000-03-01 to 1970-01-01 */
}

static int64_t seconds_of(const struct date *d)
{
    return days_of(d->year, d->month, d->day) * 86400 + d->hour * 3600 + d->minute * 60 + d->second;
}

/*
 * "Recipients of a timestamp value in rfc850-date format, which uses a two-digit year, MUST interpret a timestamp that appears
 * to be more than 50 years in the future as representing the most recent year in the past that had the same last two digits."
 */
static void complete_year(struct date *d, int64_t unix_s)
{
    int64_t now_year = 1970 + unix_s / 31556952; /* an average year's seconds; at worst a day off, at a year's end */
    d->year += now_year - now_year % 100 + 100;
    while (d->year > now_year + 50 || (d->year == now_year + 50 && seconds_of(d) - unix_s > INT64_C(50) * 31556952))
        d->year -= 100;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

/* 1*DIGIT, as many as there are. */
static bool parse_seconds(struct text t, uint64_t *seconds)
{
    *seconds = 0;
    for (size_t i = 0; i < t.len; i++) {
        if (t.p[i] < '0' || t.p[i] > '9')
            return false;
        const uint64_t digit = (uint64_t)(t.p[i] - '0');
        *seconds = *seconds > (UINT64_MAX - digit) / 10 ? UINT64_MAX : *seconds * 10 + digit;
    }
    return t.len > 0;
}

int wsr_retry_after(wsr_slice value, int64_t unix_s, uint64_t *delay_ns)
{
    struct text t = {(const char *)value.ptr, value.len};
    *delay_ns = 0;
    while (t.len > 0 && is_space(t.p[0])) {
        t.p++;
        t.len--;
    }
    while (t.len > 0 && is_space(t.p[t.len - 1]))
        t.len--;
    uint64_t seconds;
    if (!parse_seconds(t, &seconds)) {
        struct date d = {0};
        if (!parse_imf(t, &d) && !parse_rfc850(t, &d)) {
            d.two_digits = false;
            if (!parse_asctime(t, &d))
                return WSR_EINVAL;
        }
        if (unix_s < 0 || unix_s > INT64_C(253402300799)) /* a clock before 1970 or after 9999 can say nothing of a date */
            return WSR_EINVAL;
        if (d.two_digits)
            complete_year(&d, unix_s);
        if (!is_date(&d))
            return WSR_EINVAL;
        const int64_t at_s = seconds_of(&d);
        seconds = at_s > unix_s ? (uint64_t)(at_s - unix_s) : 0;
    }
    *delay_ns = seconds > UINT64_MAX / 1000000000 ? UINT64_MAX : seconds * 1000000000;
    return WSR_OK;
}
