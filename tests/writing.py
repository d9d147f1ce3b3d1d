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


def story(history):
    """Of a client that keeps its session, as applications do: the seconds between acknowledged writes
    that are over a second, and how often another server than before acknowledged one."""
    with open(history, encoding="utf-8") as file:
        written = [json.loads(line) for line in file if '"acknowledged"' in line and line.endswith("}\n")]
    pairs = list(zip(written, written[1:]))
    gaps = [(after["at"] - before["at"]) / 1e6 for before, after in pairs]
    moves = sum(before["server"] != after["server"] for before, after in pairs)
    return [round(gap, 1) for gap in gaps if gap > 1], moves


@contextlib.contextmanager
def writing(cluster, what, moves):
    """Writes all through the block; then no acknowledged row may be lost, and writes have moved to
    another server so often at most (None: only told). How long they stopped is told; benches measure it."""
    with tempfile.TemporaryDirectory() as folder:
        with Writer(cluster) as writer, Load.on(cluster, folder, *CLIENT) as load:
            yield
            before = len(writer.acknowledged)
            until(30, "writes go on", lambda: len(writer.acknowledged) > before + 2)
        lost = writer.lost()
        gaps, moved = story(load.history)
        check(f"{what}: no acknowledged write of {len(writer.acknowledged)} is lost; writes moved {moved} "
              f"times; seconds without one, where over one: {gaps}",
              not lost and (moves is None or moved <= moves), f"lost: {lost[:10]}")
