#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Draws the pictures of docs/resilience.md.

  GRPCCOMMON_FAULTS_DIR=/tmp/faults ctest -L faults
  draw.py /tmp/faults [<folder of the SVGs, by default this one>]

Each figure is drawn whose time series (CSV, see tests/support/time_series.h)
are all there; the names are printed.
"""

import csv
import math
import pathlib
import sys
from xml.sax.saxutils import escape

WIDTH = 760
LEFT, RIGHT = 74, 20
TOP = 62
PANEL, GAP = 120, 40
BOTTOM = 66

INK, FAINT, GRID, PAPER = "#24292f", "#57606a", "#e4e8ec", "#ffffff"
RED, BLUE, ORANGE = "#c9352b", "#2a6fb0", "#d9822b"
# Colour-blind people tell these apart; the one the fault is about is red.
OTHERS = ["#2a6fb0", "#5fa8a0", "#b9a44c", "#8a6fae", "#7f8c97", "#4d9050"]
FIXED = {"calls", "failures", "attempts", "p50_us", "p99_us"}


class Series:
    """One CSV: columns by name over `seconds`, and the events."""

    def __init__(self, path):
        with open(path, newline="") as file:
            rows = list(csv.DictReader(file))
        self.marks = [(float(row["ms"]) / 1000, row["mark"])
                      for row in rows if row["mark"]]
        rows = [row for row in rows if not row["mark"]]
        self.seconds = [float(row["ms"]) / 1000 for row in rows]
        self.columns = {
            name: [float(row[name]) for row in rows]
            for name in (rows[0] if rows else {}) if name not in ("ms", "mark")}

    @property
    def instances(self):
        return [name for name in self.columns if name not in FIXED]

    def attempts_per_call(self):
        return [attempts / calls if calls else math.nan for attempts, calls in
                zip(self.columns["attempts"], self.columns["calls"])]


def number(value):
    """As short as an axis wants it."""
    if value >= 1000:
        return f"{value / 1000:g}k"
    return f"{value:g}"


def nice_step(span, steps):
    raw = span / steps
    power = 10 ** math.floor(math.log10(raw))
    return next(power * factor for factor in (1, 2, 5, 10)
                if power * factor >= raw * 0.999)


def runs(values):
    """First and last index of each stretch above zero, with its two ends."""
    first = None
    for index, value in enumerate(list(values) + [0]):
        if value > 0 and first is None:
            first = max(index - 1, 0)
        elif value <= 0 and first is not None:
            yield first, min(index, len(values) - 1)
            first = None


class Panel:
    """One chart of a figure, with its own y axis and legend."""

    def __init__(self, title, log=False, low=0, high=None, whole=False):
        self.title = title
        self.log = log
        self.low = low
        self.high = high
        self.whole = whole
        self.lines = []  # (label, colour, seconds, values, dashed)
        self.bars = []
        self.stacks = []

    def line(self, label, colour, seconds, values, dashed=False):
        self.lines.append((label, colour, seconds, values, dashed))
        return self

    def bar(self, label, colour, seconds, values):
        self.bars.append((label, colour, seconds, values))
        return self

    def stack(self, label, colour, seconds, values):
        self.stacks.append((label, colour, seconds, values))
        return self

    def everything(self):
        return [entry[:4] for entry in self.lines + self.bars + self.stacks]

    def end(self):
        """The last second; a bar is as wide as the time it stands for."""
        return max(
            [seconds[-1] for _, _, seconds, _ in self.everything() if seconds] +
            [2 * seconds[-1] - seconds[-2] for _, _, seconds, _ in self.bars
             if len(seconds) > 1], default=0)

    def scale(self):
        values = [value for _, _, _, column in self.everything()
                  for value in column if not math.isnan(value)]
        low, high = self.low, self.high
        if self.log:
            positive = [value for value in values if value > 0] or [1]
            low = 10 ** math.floor(math.log10(min(positive)))
            high = 10 ** math.ceil(math.log10(max(positive) * 1.0001))
            ticks = [10.0 ** power for power in range(
                round(math.log10(low)), round(math.log10(high)) + 1)]
            return low, high, ticks
        if high is None:
            # A flat line at the bottom has a scale, too.
            high = low + (max(values + [low + 0.9]) - low) * 1.08
        step = nice_step(high - low, 3)
        if self.whole:
            step = max(step, 1)
        high = math.ceil(high / step - 1e-6) * step
        count = round((high - low) / step)
        return low, high, [low + index * step for index in range(count + 1)]

    def draw(self, top, end):
        low, high, ticks = self.scale()

        def x(seconds):
            return LEFT + (WIDTH - LEFT - RIGHT) * seconds / end

        def y(value):
            if self.log:
                value = max(value, low)
                share = math.log(value / low) / math.log(high / low)
            else:
                share = (value - low) / (high - low)
            return top + PANEL * (1 - min(max(share, 0), 1))

        yield (f'<text class="panel" x="{LEFT}" y="{top - 10}">'
               f'{escape(self.title)}</text>')
        for tick in ticks:
            at = y(tick)
            yield (f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" '
                   f'y1="{at:.1f}" y2="{at:.1f}"/>')
            yield (f'<text class="tick" text-anchor="end" x="{LEFT - 8}" '
                   f'y="{at + 4:.1f}">{number(round(tick, 6))}</text>')
        yield from self.draw_stacks(x, y)
        yield from self.draw_bars(x, y)
        for _, colour, seconds, values, dashed in self.lines:
            yield from self.draw_line(x, y, colour, seconds, values, dashed)
        yield from self.draw_legend(top)

    def draw_stacks(self, x, y):
        if not self.stacks:
            return
        below = [0.0] * len(self.stacks[0][2])
        for _, colour, seconds, values in self.stacks:
            above = [a + b for a, b in zip(below, values)]
            for first, last in runs(values):
                place = slice(first, last + 1)
                points = list(zip(seconds[place], above[place]))
                points += reversed(list(zip(seconds[place], below[place])))
                text = " ".join(f"{x(s):.1f},{y(v):.1f}" for s, v in points)
                yield (f'<polygon fill="{colour}" fill-opacity="0.8" '
                       f'points="{text}"/>')
            below = above

    def draw_bars(self, x, y):
        for _, colour, seconds, values in self.bars:
            width = x(seconds[1]) - x(seconds[0]) if len(seconds) > 1 else 4
            base = y(self.scale()[0])
            for second, value in zip(seconds, values):
                if value > 0:
                    yield (f'<rect fill="{colour}" x="{x(second) + 0.5:.1f}" '
                           f'y="{y(value):.1f}" width="{width - 1:.1f}" '
                           f'height="{base - y(value):.1f}"/>')

    def draw_line(self, x, y, colour, seconds, values, dashed):
        style = ' stroke-dasharray="5 4"' if dashed else ""
        run = []
        for second, value in list(zip(seconds, values)) + [(0, math.nan)]:
            if not math.isnan(value):
                run.append(f"{x(second):.1f},{y(value):.1f}")
                continue
            if run:
                yield (f'<polyline class="curve" stroke="{colour}"{style} '
                       f'points="{" ".join(run)}"/>')
            run = []

    def draw_legend(self, top):
        """On the right, above the chart."""
        right = WIDTH - RIGHT
        for label, colour, _, _ in reversed(self.everything()):
            if not label:
                continue
            right -= 6.4 * len(label)
            yield (f'<text class="legend" x="{right:.0f}" y="{top - 10}">'
                   f'{escape(label)}</text>')
            right -= 16
            yield (f'<rect x="{right:.0f}" y="{top - 19}" width="11" '
                   f'height="11" rx="2" fill="{colour}"/>')
            right -= 14


STYLE = f"""
text {{ font-family: system-ui, -apple-system, "Segoe UI", "DejaVu Sans",
  sans-serif; fill: {INK}; }}
.title {{ font-size: 16px; font-weight: 600; }}
.panel {{ font-size: 12.5px; font-weight: 600; }}
.tick, .legend, .note {{ font-size: 11.5px; fill: {FAINT}; }}
.mark {{ font-size: 11.5px; fill: {RED}; }}
.grid {{ stroke: {GRID}; }}
.event {{ stroke: {RED}; stroke-dasharray: 3 3; }}
.curve {{ fill: none; stroke-width: 1.8; stroke-linejoin: round; }}
"""


def draw(title, panels, marks):
    """An SVG of `panels` one below the other, over one axis of time."""
    end = max((panel.end() for panel in panels), default=0) or 1
    tops = [TOP + 24 + index * (PANEL + GAP) for index in range(len(panels))]
    height = tops[-1] + PANEL + BOTTOM
    bottom = tops[-1] + PANEL

    yield (f'<svg xmlns="http://www.w3.org/2000/svg" '
           f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
           f'height="{height}" role="img" aria-label="{escape(title)}">')
    yield f"<title>{escape(title)}</title><style>{STYLE}</style>"
    # Painted, so that it reads the same where pages are dark.
    yield (f'<rect x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" '
           f'rx="8" fill="{PAPER}" stroke="{GRID}"/>')
    yield f'<text class="title" x="20" y="30">{escape(title)}</text>'

    for top, panel in zip(tops, panels):
        yield from panel.draw(top, end)

    step = nice_step(end, 8)
    for index in range(int(end / step) + 1):
        x = LEFT + (WIDTH - LEFT - RIGHT) * index * step / end
        yield (f'<line stroke="{FAINT}" x1="{x:.1f}" x2="{x:.1f}" '
               f'y1="{bottom}" y2="{bottom + 4}"/>')
        yield (f'<text class="tick" text-anchor="middle" x="{x:.1f}" '
               f'y="{bottom + 18}">{number(round(index * step, 6))}</text>')
    yield (f'<text class="note" text-anchor="middle" '
           f'x="{(LEFT + WIDTH - RIGHT) / 2}" y="{bottom + 38}">'
           f'seconds since the start</text>')

    taken, last = -math.inf, None
    for at, text in sorted(marks):
        x = LEFT + (WIDTH - LEFT - RIGHT) * at / end
        for top in tops:  # not across the texts between them
            yield (f'<line class="event" x1="{x:.1f}" x2="{x:.1f}" '
                   f'y1="{top}" y2="{top + PANEL}"/>')
        if x < taken or text == last:  # said already, or no room
            continue
        last = text
        anchor = "end" if x + 6.4 * len(text) > WIDTH - RIGHT else "start"
        shift = -4 if anchor == "end" else 4
        yield (f'<text class="mark" text-anchor="{anchor}" '
               f'x="{x + shift:.1f}" y="{TOP - 4}">{escape(text)}</text>')
        taken = x + 6.4 * len(text) + 8
    yield "</svg>"


def milliseconds(microseconds):
    """A window without a call has no latency."""
    return [value / 1000 if value else math.nan for value in microseconds]


def latency(series, suffix="", log=True):
    return (Panel("latency" + suffix + ", ms" + (" (log)" if log else ""),
                  log=log)
            .line("p99", RED, series.seconds,
                  milliseconds(series.columns["p99_us"]))
            .line("p50", BLUE, series.seconds,
                  milliseconds(series.columns["p50_us"])))


def shares(series, suffix=""):
    panel = Panel("answers by instance, %" + suffix, high=100)
    special = [name for name in series.instances
               if not name.startswith("instance ")]
    others = [name for name in series.instances if name not in special]
    for name, colour in ([(name, RED) for name in special] +
                         [(name, OTHERS[index % len(OTHERS)])
                          for index, name in enumerate(others)]):
        # Many of them are only a pattern.
        many = len(series.instances) > 5
        label = "each instance a colour" if many and not panel.stacks else name
        panel.stack("" if many and panel.stacks else label, colour,
                    series.seconds,
                    [100 * value for value in series.columns[name]])
    return panel


def extra(series):
    return (Panel("in each 100 ms", whole=True)
            .bar("further attempts", ORANGE, series.seconds,
                 [max(attempts - calls, 0) for attempts, calls in
                  zip(series.columns["attempts"], series.columns["calls"])])
            .line("failed calls", RED, series.seconds,
                  series.columns["failures"]))


def fault(title, name):
    """A picture of one fault, as callers see it."""
    def panels(series):
        found = series[name]
        return [latency(found), extra(found), shares(found)], found.marks
    return title, [name], panels


def slow(series):
    p2c, in_turn = series["slow_p2c"], series["slow_in_turn"]
    return [
        Panel("p99, ms (log)", log=True)
        .line("round robin", RED, in_turn.seconds,
              milliseconds(in_turn.columns["p99_us"]))
        .line("P2C, peak EWMA", BLUE, p2c.seconds,
              milliseconds(p2c.columns["p99_us"])),
        shares(p2c, ": P2C, peak EWMA"),
        shares(in_turn, ": round robin"),
    ], p2c.marks


def hedging(series):
    without = series["pauses_without_hedging"]
    with_ = series["pauses_with_hedging"]
    return [
        Panel("p99, ms")
        .line("without hedging", RED, without.seconds,
              milliseconds(without.columns["p99_us"]))
        .line("with hedging", BLUE, with_.seconds,
              milliseconds(with_.columns["p99_us"])),
        Panel("in each 100 ms")
        .bar("calls", "#c3d7ea", with_.seconds, with_.columns["calls"])
        .bar("of them hedged", ORANGE, with_.seconds,
             [attempts - calls for attempts, calls in
              zip(with_.columns["attempts"], with_.columns["calls"])]),
    ], with_.marks


STORM = [("unlimited", "unlimited", RED), ("Finagle's budget",
         "finagle_defaults", ORANGE), ("our budget", "budget", BLUE),
         ("A6 throttle", "throttle", "#5fa8a0")]


def storm(series):
    attempts = Panel("attempts for each call")
    good = Panel("good answers a second")
    for label, name, colour in STORM:
        found = series["storm_" + name]
        attempts.line(label, colour, found.seconds, found.attempts_per_call())
        good.line(label, colour, found.seconds, found.columns["good"])
    return [attempts, good], series["storm_budget"].marks


def herd(series):
    found = series["registry_returns"]
    return [Panel("watches opened in each 100 ms").bar(
        "of 300 watchers", BLUE, found.seconds,
        found.columns["watches"])], found.marks


# The name of the SVG: its title, the series it needs, what makes panels of
# them.
FIGURES = {
    "rolling_restart": fault("A rolling restart of three instances",
                             "rolling_restart"),
    "kill": fault("kill -9 of one of three instances", "kill"),
    "freeze": fault("SIGSTOP of one of three instances", "freeze"),
    "drop": fault("Packets of one of three instances vanish", "drop"),
    "slow": ("One of three instances is 50 times slower",
             ["slow_p2c", "slow_in_turn"], slow),
    "hedging": ("One request in forty pauses for 200 ms, on any instance",
                ["pauses_without_hedging", "pauses_with_hedging"], hedging),
    "registry_away": fault("The registry goes away, and comes back",
                           "registry_away"),
    "registry_returns": ("The registry comes back after four seconds",
                         ["registry_returns"], herd),
    "retry_storm": ("A thousand clients, and a back end that fails (simulated)",
                    ["storm_" + name for _, name, _ in STORM], storm),
}


def draw_all(source, target):
    """Yields the name of each figure drawn."""
    for figure, (title, names, make_panels) in FIGURES.items():
        paths = {name: source / (name + ".csv") for name in names}
        if not all(path.is_file() for path in paths.values()):
            continue
        panels, marks = make_panels(
            {name: Series(path) for name, path in paths.items()})
        (target / (figure + ".svg")).write_text(
            "\n".join(draw(title, panels, marks)) + "\n")
        yield figure


def main(arguments):
    if len(arguments) not in (1, 2):
        print(__doc__, file=sys.stderr)
        return 64
    source = pathlib.Path(arguments[0])
    target = (pathlib.Path(arguments[1]) if len(arguments) == 2
              else pathlib.Path(__file__).parent)
    drawn = list(draw_all(source, target))
    print("drawn:", ", ".join(drawn) or "nothing")
    return 0 if drawn else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
