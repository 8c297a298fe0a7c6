"""bench/lib/report.py - what people and programs read: tables, lines of goals, an SVG plot (gnuplot)."""
import shutil
import statistics
import subprocess
import sys

from lib.scenarios import FIGURES
from lib.stats import interval, paired, rate, ratio_text, totals, usage, verdict

WAITED_WARNING = 0.05


# --- Tables -------------------------------------------------------------------------------------------------------------------


def summarise(scenario, rounds, names, ours):
    """For each server that took part: medians, and ours by theirs."""
    figures = ["cpu"] + (["p50", "p99", "p99.9"] if scenario.program == "rate_load" else [])
    summary = {}
    for name in names:
        taking_part = sum(any(r.get(name, [])) for r in rounds)
        if taking_part == 0:
            continue
        summary[name] = {"rounds": taking_part, "units_per_second": statistics.median(totals(rounds, name, rate)),
                         **usage(rounds, name)}
        for figure in figures:
            summary[name][figure] = statistics.median(totals(rounds, name, FIGURES[figure]))
            ratios = paired(rounds, ours, name, FIGURES[figure])
            if ratios:
                summary[name][figure + "_ratio"] = interval(ratios)
        if scenario.program == "rate_load":
            summary[name]["lag_p99_us"] = statistics.median(totals(rounds, name, lambda piece: piece["lag_p99_ns"] / 1e3))
    return summary


def print_closed(scenario, summary):
    print(f"  {'server':<15}{'rounds':>6}{'CPU us/' + scenario.unit:>16}{scenario.units + '/s':>14}   {'ours / it, CPU [95 %]':<24}"
          f"{'sleeps':>7}{'busy':>6}{'load':>6}{'waited':>8}")
    for name, s in summary.items():
        print(f"  {name:<15}{s['rounds']:>6}{s['cpu']:>16.3f}{s['units_per_second']:>14.0f}   "
              f"{ratio_text(s['cpu_ratio']) if 'cpu_ratio' in s else '':<24}{s['sleeps']:>7.2f}{s['server_busy']:>6.0%}{s['load_busy']:>6.0%}"
              f"{s['load_waited']:>8.1%}")


def print_latency(summary):
    print(f"  {'server':<15}{'rounds':>6}{'p50 us':>9}{'p99 us':>10}{'p99.9 us':>10}{'CPU us/msg':>12}{'messages/s':>12}   {'ours / it, p50 [95 %]':<22}"
          f"{'p99 [95 %]':<22}{'lag us':>7}{'waited':>8}")
    for name, s in summary.items():
        print(f"  {name:<15}{s['rounds']:>6}{s['p50']:>9.1f}{s['p99']:>10.1f}{s['p99.9']:>10.1f}{s['cpu']:>12.2f}{s['units_per_second']:>12.0f}   "
              f"{ratio_text(s['p50_ratio']) if 'p50_ratio' in s else '':<22}{ratio_text(s['p99_ratio']) if 'p99_ratio' in s else '':<22}"
              f"{s['lag_p99_us']:>7.1f}{s['load_waited']:>8.1%}")


def print_scenario(scenario, rounds, summary, left_out=0.0):
    print(f"\n{scenario.name}: {scenario.title}; {len(rounds)} rounds")
    if scenario.program == "rate_load":
        print_latency(summary)
    else:
        print_closed(scenario, summary)
    waited = max((s["load_waited"] for s in summary.values()), default=0)
    if waited > WAITED_WARNING:
        print(f"  warning: other programs took the load's core for {waited:.0%} of the time; the medians bear some of that, not much")
    if left_out > 0:
        print(f"  left out, because other programs got in the way of the server or of the load: {left_out:.0%} of the slices")
    sys.stdout.flush()


# --- Goals --------------------------------------------------------------------------------------------------------------------


def goal(name, measured, wanted, word):
    return f"goal {name} {measured} {wanted} {word}"


def missing_goal(name, wanted):
    """Nothing was measured: that is not good enough."""
    return goal(name, "-", wanted, "short")


def ratio_goal(name, ratio, wanted):
    return goal(name, f"{ratio[0]:.3f}", f"{wanted:.2f}", verdict(ratio, wanted))


# --- A plot -------------------------------------------------------------------------------------------------------------------


COLOURS = ("#8c8c8c", "#c4c4c4", "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#000000", "#f0e442")

PLOT = """set terminal svg size 1280,560 font "sans,12" background "white"
set output "{svg}"
set title "{title}"
set style data histogram
set style histogram clustered gap 2
set style fill solid 0.85 noborder
set logscale y
set yrange [0.5:*]
set ytics (0.5, 0.7, 1, 1.5, 2, 3, 5, 10, 20, 50)
set ylabel "server CPU per unit, wsring = 1 (log scale)"
set grid ytics lc rgb "#dddddd"
set key outside right
set xtics nomirror
$data << EOD
{data}
EOD
plot {series}, 1 with lines lc rgb "#444444" title "wsring"
"""


def draw_costs(path, document, names):
    """Each server's CPU by ours, a group of bars a scenario. Writes the plot to path; returns what is missing for that, or ""."""
    if shutil.which("gnuplot") is None:
        return "gnuplot is not installed"
    lines = []
    for scenario, found in document["scenarios"].items():
        ratios = {name: s["cpu_ratio"][0] for name, s in found["summary"].items() if not found["latency"] and "cpu_ratio" in s}
        if ratios:
            lines.append(f'"{scenario}" ' + " ".join(f"{1 / ratios[name]:.4f}" if name in ratios else "?" for name in names))
    if not lines:
        return "nothing to draw"
    series = ", ".join(f'$data using {i + 2}{":xtic(1)" if i == 0 else ""} title "{name}" lc rgb "{COLOURS[i % len(COLOURS)]}"'
                       for i, name in enumerate(names))
    host = document["machine"]
    script = PLOT.format(svg=path, title=f"{host['cpu']}, Linux {host['kernel']}: less is better", data="\n".join(lines), series=series)
    done = subprocess.run(["gnuplot"], input='set datafile missing "?"\n' + script, text=True, capture_output=True, check=False)
    return done.stderr.strip() if done.returncode else ""
