"""Cases by number, and how they are run: in a child process, so that a decoder that aborts fails its own case only."""

from __future__ import annotations

import json
import logging
import os
import resource
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fuzzing import mutations, regions
from fuzzing.bases import real_bases, synthetic_bases
from fuzzing.judge import Verdict, judge, learn_notes
from fuzzing.trees import Forest

SEED = 20261122
KINDS = ["series", "regions", "trees"]
MEMORY_BYTES = 2 * 2**30


class Result(NamedTuple):
    """What came of a case."""

    kind: str
    number: int
    mutation: str
    base: str
    outcome: str
    detail: str

    def __str__(self) -> str:
        """Return the case as a person reads it."""
        return f"{self.kind}:{self.number} ({self.base}, {self.mutation}) {self.outcome} {self.detail}"


class Cases:
    """All that cases are made of; a case is a function of its kind and number."""

    def __init__(self, folder: Path, shared_data: Path | None = None):
        self.series = synthetic_bases() + (
            real_bases(shared_data) if shared_data and shared_data.is_dir() else []
        )
        for base in self.series:
            learn_notes(base)
        self.pet, self.regions = regions.roi_bases(folder)
        self.forest = Forest()

    def name(self, kind: str, number: int) -> tuple[str, str]:
        """Return mutation and base of a case."""
        if kind == "trees":
            return "messy tree", "tree"
        bases = getattr(self, kind)
        names = list(mutations.MUTATIONS if kind == "series" else regions.MUTATIONS)
        return names[number // len(bases) % len(names)], bases[number % len(bases)].name

    def run(self, kind: str, number: int) -> Verdict:
        """Run a case in this process."""
        rng = np.random.default_rng([SEED, KINDS.index(kind), number])
        if kind == "trees":
            return self.forest.judge(rng)
        bases = getattr(self, kind)
        base, name = bases[number % len(bases)], self.name(kind, number)[0]
        if kind == "regions":
            return regions.judge_regions(base, regions.mutate(rng, base, name), self.pet)
        return judge(base, mutations.MUTATIONS[name](rng, base, bases))

    def run_all(self, kind: str, numbers: Sequence[int]) -> Iterator[Result]:
        """Run cases in child processes; one that dies fails its case, and another goes on behind it."""
        numbers = list(numbers)
        while numbers:
            reader, writer = os.pipe()
            child = os.fork()
            if child == 0:
                os.close(reader)
                self._work(kind, numbers, writer)
            os.close(writer)
            with os.fdopen(reader) as stream:
                for line in stream:
                    yield self._result(kind, numbers.pop(0), *json.loads(line))
            _, status = os.waitpid(child, 0)
            if numbers:
                reason = f"the process died of signal {os.WTERMSIG(status)}"
                yield self._result(kind, numbers.pop(0), "FAILED", reason)

    def _result(self, kind: str, number: int, outcome: str, detail: str) -> Result:
        return Result(kind, number, *self.name(kind, number), outcome, detail)

    def _work(self, kind: str, numbers: list[int], writer: int) -> None:
        """Run cases and end the process, without the parent's leftovers."""
        try:
            warnings.simplefilter("ignore")  # damaged files are what the readers are given
            logging.disable(logging.CRITICAL)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            limit_memory()
            with os.fdopen(writer, "w") as stream:
                for number in numbers:
                    stream.write(json.dumps(list(self.run(kind, number))) + "\n")
                    stream.flush()
        finally:
            os._exit(0)


def limit_memory(size: int = MEMORY_BYTES) -> None:
    """Let an allocation beyond `size` bytes more than now fail, as a failure of the case that asks for it."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + size, hard))
