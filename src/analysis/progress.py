"""Progress of long work, where a person can see it: the runner's terminal, or the notebook's own cell.

Progress is no result: under the runner it goes to the terminal only, so that outputs stay the same.
"""

from __future__ import annotations

import os
import sys

CHANNEL = "PEARL_PROGRESS"


def report(what: str, done: int, total: int) -> None:
    """Say that `done` of `total` units of `what` are finished; about twenty times in all."""
    stride = max(1, total // 20)
    if done % stride and done != total:
        return
    channel = os.environ.get(CHANNEL)
    if channel:
        with open(channel, "a", encoding="utf-8") as stream:
            stream.write(f"{what}: {done} of {total}\n")
    else:
        print(f"\r{what}: {done} of {total}", end="\n" if done == total else "", file=sys.stderr, flush=True)
