"""bench/lib/stats.py - medians with an interval, ratios of what was measured a moment apart, and the verdict on a goal.

A round is {server name: [slice, ...]}; a slice is what a load (lib/load.h) reports, None one that is not to be counted. A server may be
missing from a round.
"""
import statistics


def interval(values):
    """The median, and a 95 % interval of it by order statistics (binomial; assumes nothing of the distribution)."""
    values = sorted(values)
    n = len(values)
    # The largest k with P(Binomial(n, 1/2) < k) <= 2.5 %: the k-th from below and the k-th from above enclose the median.
    k, below, term = 0, 0.0, 0.5**n
    while below + term <= 0.025:
        below += term
        term *= (n - k) / (k + 1)
        k += 1
    return statistics.median(values), values[k - 1] if k else None, values[n - k] if k else None


def cpu_us(piece):
    return piece["server_run_ns"] / piece["units"] / 1e3


def rate(piece):
    return piece["units"] / piece["seconds"]


def cycles(piece):
    return piece["server_cycles"] / piece["units"]


def paired(rounds, a, b, figure):
    """One ratio a round: the median of the ratios of its slices, each taken a moment apart on the same machine."""
    ratios = ([figure(x) / figure(y) for x, y in zip(r[a], r[b]) if x and y] for r in rounds if a in r and b in r)
    return [statistics.median(of_round) for of_round in ratios if of_round]


def totals(rounds, name, figure):
    """One figure a round: the median of its slices."""
    figures = ([figure(piece) for piece in r.get(name, []) if piece] for r in rounds)
    return [statistics.median(of_round) for of_round in figures if of_round]


def usage(rounds, name):
    """How busy both ends were: shares of the time, and sleeps per 1,000 units."""
    pieces = [piece for r in rounds for piece in r.get(name, []) if piece]
    seconds = sum(piece["seconds"] for piece in pieces)
    return {
        "sleeps": 1000 * sum(piece["server_sleeps"] for piece in pieces) / sum(piece["units"] for piece in pieces),
        "server_busy": sum(piece["server_run_ns"] for piece in pieces) / seconds / 1e9,
        "load_busy": sum(piece["load_run_ns"] for piece in pieces) / seconds / 1e9,
        "load_waited": sum(piece["load_wait_ns"] for piece in pieces) / seconds / 1e9,
    }


def disturbed(piece):
    """The share of the time that another program had a core which the server or the load was ready to run on."""
    return (piece["server_wait_ns"] + piece["load_wait_ns"]) / piece["seconds"] / 1e9


def better(rounds, a, b, figure=cpu_us):
    """Which of two servers needs less."""
    return a if statistics.median(paired(rounds, a, b, figure)) <= 1 else b


def verdict(ratio, wanted):
    """A goal is met, or missed, only if the whole interval says so."""
    _, low, high = ratio
    if low is None:
        return "unclear"
    return "ok" if high <= wanted else "short" if low > wanted else "unclear"


def ratio_text(ratio):
    median, low, high = ratio
    return f"{median:.3f} [? ?]" if low is None else f"{median:.3f} [{low:.3f} {high:.3f}]"
