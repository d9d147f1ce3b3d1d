"""A client that writes during a planned change: what was lost, and how long writes stopped."""

import contextlib
import json
import tempfile

from faults import Load
from scenario import Writer, check, until

CLIENT = ("--rate", "50", "--reads", "0", "--patience", "1000", "--limit", "20000", "--no-rows")


def promote(cluster, unit):
    """Makes a unit the primary, as soon as Patroni lists it as a synchronous standby."""
    until(60, f"{unit} is promoted",
          lambda: cluster.action(unit, "promote-to-primary", scope="unit") is not None)
    until(60, f"{unit} leads", lambda: cluster.primary() == unit)


class Gaps:
    """Times between acknowledged writes of a client that keeps its session, as applications do."""

    def __init__(self, history):
        self.history = history

    def longest(self):
        """Seconds of the longest time without an acknowledged write, and of those over a second."""
        times = []
        with open(self.history, encoding="utf-8") as file:
            for line in file:
                if '"acknowledged"' in line and line.endswith("}\n"):
                    times.append(json.loads(line)["at"] / 1e6)
        gaps = [b - a for a, b in zip(times, times[1:])]
        return max(gaps, default=0.0), sorted(gap for gap in gaps if gap > 1)


@contextlib.contextmanager
def writing(cluster, what, most):
    """Writes all through the block; then no acknowledged row may be lost, and writes have stopped
    once at most for longer than a second, for less than `most` seconds (None: only told)."""
    with tempfile.TemporaryDirectory() as folder:
        with Writer(cluster) as writer, Load.on(cluster, folder, *CLIENT) as load:
            yield
            before = len(writer.acknowledged)
            until(30, "writes go on", lambda: len(writer.acknowledged) > before + 2)
        lost = writer.lost()
        longest, long = Gaps(load.history).longest()
        check(f"{what}: no acknowledged write of {len(writer.acknowledged)} is lost; none for "
              f"{longest:.1f} s, longer than a second: {[round(gap, 1) for gap in long]}",
              not lost and (most is None or (longest < most and len(long) < 2)), f"lost: {lost[:10]}")
