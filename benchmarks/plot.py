"""Draw the plot of the docs from the figures of the benchmarks.

    python -m benchmarks.plot docs/figures docs/_static/filtering.svg

Both axes are logarithmic. Colours are readable on white and on black, the background is left open.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 420, 70, 190, 20, 50
MOST_FILTERS, LEAST_US, MOST_US = 100_000, 5.0, 200_000.0
COLOURS = ("#2f7fd1", "#2a9d5c", "#d1622f", "#b04fb8")
GREY = "#808080"

Line = list[tuple[float, float]]


def place(filters: float, microseconds: float) -> tuple[float, float]:
    """Return where a point lies in the drawing."""
    across = math.log10(filters) / math.log10(MOST_FILTERS)
    up = math.log10(microseconds / LEAST_US) / math.log10(MOST_US / LEAST_US)
    return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)


def text(x: float, y: float, words: str, anchor: str, colour: str = GREY) -> str:
    """Return a text element."""
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" fill="{colour}">{words}</text>'


def axes() -> list[str]:
    """Return grid, numbers and names of both axes."""
    parts = []
    for power in range(6):
        x, y = place(10**power, LEAST_US)
        parts.append(f'<line x1="{x:.0f}" y1="{TOP}" x2="{x:.0f}" y2="{y:.0f}"/>')
        parts.append(text(x, y + 18, f"{10**power:,}", "middle"))
    for power in range(1, 6):
        x, y = place(1, 10**power)
        parts.append(f'<line x1="{x:.0f}" y1="{y:.0f}" x2="{WIDTH - RIGHT}" y2="{y:.0f}"/>')
        unit = f"{10**power} µs" if power < 3 else f"{10 ** (power - 3)} ms"
        parts.append(text(x - 8, y + 4, unit, "end"))
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(text(middle, HEIGHT - 10, "filters, each with a value of its own", "middle"))
    return parts


def curve(name: str, points: Line, colour: str) -> list[str]:
    """Return a line with its points and its name at the end."""
    places = [place(*point) for point in points]
    joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dots = [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
    x, y = places[-1]
    line = f'<polyline points="{joined}" fill="none" stroke="{colour}" stroke-width="2"/>'
    return [line, *dots, text(x + 8, y + 4, name, "start", colour)]


def draw(figures: Path) -> str:
    """Return the drawing."""
    alone = json.loads((figures / "filters.json").read_text())["equality"]["rows"]
    broker = json.loads((figures / "filtering-broker.json").read_text())
    lines = {
        "Clacks, the index alone": {count: row["match_us"] for count, row in alone.items()},
        "Clacks, embedded broker": broker["broker_cpu_us"],
        **broker["published_us"],
    }
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"',
        ' font-family="sans-serif" font-size="12">',
        "<title>CPU for one event by the number of filters</title>",
        f'<g stroke="{GREY}" stroke-opacity="0.3">',
    ]
    grid = axes()
    parts += [part for part in grid if part.startswith("<line")]
    parts.append("</g>")
    parts += [part for part in grid if part.startswith("<text")]
    for (name, values), colour in zip(lines.items(), COLOURS):
        parts += curve(name, [(float(count), float(value)) for count, value in values.items()], colour)
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(draw(Path(sys.argv[1])))
