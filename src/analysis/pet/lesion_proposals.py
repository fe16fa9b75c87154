"""Match the lesions of every patient before anything is measured, where names say nothing between scans."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from analysis import plan as plans
from analysis.fanout import Failure
from analysis.pet.assign import BASELINE
from analysis.pet.lesion_identity import Named
from analysis.pet.lesion_tracking import Proposed, propose_patient
from analysis.pet.registration import RigidTransform

Scan = tuple[str, str]
Run = Callable[..., list[Any]]


@dataclass
class Proposals:
    """What matching says of every scan, before anything is measured.

    Attributes
    ----------
    named : dict
        (USUBJID, AVISIT) -> name drawn -> Named.
    transforms : dict
        (USUBJID, AVISIT) -> RigidTransform.
    failed : dict
        (USUBJID, AVISIT) -> why the scan could not be laid over the baseline.
    """

    named: dict[Scan, dict[str, Named]] = field(default_factory=dict)
    transforms: dict[Scan, RigidTransform] = field(default_factory=dict)
    failed: dict[Scan, str] = field(default_factory=dict)


def propose_links(
    tasks: Sequence[Mapping[str, Any]], plan: plans.Plan, run: Run
) -> tuple[list[dict[str, Any]], Proposals]:
    """Match the lesions of all patients where the plan says that names are no identities.

    Parameters
    ----------
    tasks : sequence of mapping
        As `analysis.pet.tasks.make_tasks` returns them.
    plan : Plan
        Section ``pet`` (`lesion_identity`, `match_*`, `register_*`).
    run : callable
        `analysis.fanout.fan_out` with its workers.

    Returns
    -------
    tasks : list of dict
        With ``lesions`` of every region that has a place; those of a follow-up that has none never bear a
        name of the baseline.
    proposals : Proposals
        Empty where names are identities.
    """
    out, found = [dict(task) for task in tasks], Proposals()
    if plan.pet.lesion_identity != "match":
        return out, found
    jobs = [baseline_first(group) for group in by_subject(tasks).values()]
    work = partial(propose_patient, rules=plan.pet.to_dict())
    for job, result in zip(jobs, run(jobs, work, what="patients"), strict=True):
        _collect(job, result, found)
    for task in out:
        named = found.named.get(scan_of(task), {})
        task["lesions"] = task["lesions"] | {name: one.lesion for name, one in named.items()}
        task["unmatched"] = "" if scan_of(task)[1] == BASELINE else f"{scan_of(task)[1]} "
    return out, found


def by_subject(tasks: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """Return the tasks of each subject."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for task in tasks:
        groups.setdefault(task["scan"]["USUBJID"], []).append(task)
    return groups


def baseline_first(tasks: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any] | None]:
    """Return a subject's tasks, her baseline (None where there is none) first."""
    first = [task for task in tasks if scan_of(task)[1] == BASELINE]
    return [*(first or [None]), *(task for task in tasks if scan_of(task)[1] != BASELINE)]


def scan_of(task: Mapping[str, Any]) -> Scan:
    """Return USUBJID and AVISIT of a task."""
    return task["scan"]["USUBJID"], task["scan"]["AVISIT"]


def _collect(job: Sequence[Mapping[str, Any] | None], result: Proposed | Failure, found: Proposals) -> None:
    for at, task in enumerate(job):
        if task is None:
            continue
        if isinstance(result, Failure):
            found.failed |= {scan_of(task): result.message} if at else {}
            continue
        found.named[scan_of(task)] = result.named[at]
        if result.transforms[at] is not None:
            found.transforms[scan_of(task)] = result.transforms[at]
        if result.failed[at] is not None:
            found.failed[scan_of(task)] = result.failed[at]
