"""A unit of work that can fail in the two ways there are; importable, as worker processes need it."""

import os
import signal


def work(task):
    if task == "raise":
        raise RuntimeError("boom")
    if task == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    return task * 2
