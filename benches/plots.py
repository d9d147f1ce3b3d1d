"""Small plots as SVG, by hand."""

import statistics
from xml.sax.saxutils import escape

OURS, OTHER, THIRD = "#1b6ca8", "#b0602a", "#5c8a3a"
COLOURS = (OURS, OTHER, THIRD)
WIDTH, LEFT, RIGHT, TOP = 760, 240, 24, 44


def sheet(title, height, body):
    """A white sheet with a title."""
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        'font-family="sans-serif" font-size="12" fill="#222">',
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        f'<text x="12" y="22" font-size="14">{escape(title)}</text>', *body, "</svg>", ""])


def text(x, y, words, anchor="start", colour="#222"):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{escape(str(words))}</text>'


def line(x1, y1, x2, y2, colour="#ddd", width=1):
    return (f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" '
            f'stroke-width="{width}"/>')


def dot(x, y, colour, solid=0.65):
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}" fill-opacity="{solid}"/>'


def steps(most):
    """Round numbers from nothing to at least `most`."""
    size = next(unit * 10 ** power for power in range(-2, 7) for unit in (1, 2, 5)
                if most / (unit * 10 ** power) <= 8)
    count = int(-(-most // size)) or 1
    return [round(size * n, 6) for n in range(count + 1)]


def number(value):
    return f"{value:g}"


def strips(title, rows, unit):
    """A strip of dots for each row of (name, values, ours or not)."""
    ticks = steps(max([max(values) for _, values, _ in rows] or [1]))
    wide = WIDTH - LEFT - RIGHT
    height = TOP + 34 * len(rows) + 40
    bottom = height - 34

    def at(value):
        return LEFT + wide * value / ticks[-1]
    body = [line(at(tick), TOP, at(tick), bottom) for tick in ticks]
    body += [text(at(tick), bottom + 18, f"{number(tick)} {unit}", "middle") for tick in ticks]
    for place, (name, values, ours) in enumerate(rows):
        y, colour = TOP + 34 * place + 17, OURS if ours else OTHER
        body.append(text(LEFT - 10, y + 4, name, "end"))
        # Dots of like values would hide each other.
        body += [dot(at(value), y + (n % 5 - 2) * 3.5, colour) for n, value in enumerate(values)]
        middle = at(statistics.median(values))
        body.append(line(middle, y - 14, middle, y + 14, colour, 2.5))
    return sheet(title, height, body)


def lines(title, series):
    """Lines of (x, y) points, by name."""
    height, left = 320, 60
    bottom, wide = height - 40, WIDTH - left - 260
    points = [point for found in series.values() for point in found]
    across, up = (steps(max(point[n] for point in points)) for n in (0, 1))

    def at(x, y):
        return left + wide * x / across[-1], bottom - (bottom - TOP) * y / up[-1]
    body = []
    for tick in up:
        x, y = at(0, tick)
        body += [line(x, y, left + wide, y), text(x - 8, y + 4, number(tick), "end")]
    for x in sorted({point[0] for point in points}):
        body.append(text(at(x, 0)[0], bottom + 18, number(x), "middle"))
    for colour, (name, found) in zip(COLOURS, series.items()):
        places = [at(*point) for point in found]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        body.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        body += [dot(x, y, colour, 1) for x, y in places]
        body.append(text(left + wide + 12, places[-1][1] + 4, name, colour=colour))
    return sheet(title, height, body)


def bars(title, rows):
    """Three bars for each row."""
    height = TOP + 58 * len(rows) + 12
    most = max(max(values) for values in rows.values())
    wide = WIDTH - LEFT - RIGHT - 60
    body = []
    for place, (name, values) in enumerate(rows.items()):
        y = TOP + 58 * place
        body.append(text(LEFT - 10, y + 28, name, "end"))
        for n, (value, colour) in enumerate(zip(values, COLOURS)):
            long = max(1.0, wide * value / most)
            body.append(f'<rect x="{LEFT}" y="{y + 15 * n}" width="{long:.1f}" height="12" fill="{colour}"/>')
            body.append(text(LEFT + long + 6, y + 15 * n + 10, number(value)))
    return sheet(title, height, body)
