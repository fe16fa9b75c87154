"""Runs a case and judges it.

A *silent change* is a failure: the SUV of a slice is more than 1 % off the planted one, no adaptation or flag is
recorded that the clean series lacks, and the header contradicts itself, because a slice says otherwise than the
others in what must be one value, or because another element of the same file states the same quantity (injection
time against injection date-time, half-life against the nuclide's name, one clock against the others, NONE against
DECY: `reference.contradicted`). A change is *legitimate* without a note only where the header is coherent (half the
weight on every slice is half the SUV: no reader can know better), and then it must equal, within 1 %, what an
independent transcription of the formulas gives (`reference.reference_suv`). A change that is noted must equal it
too, wherever that transcription can say something: a flag does not excuse a wrong number.

Besides: nothing but `SeriesRefused` and `RoiRefused` may be raised, within a bound of processor time; a slice that
is lost is noted; SUV is finite; messages hold no identifier, date, UID or absolute path, also not one a mutation
has moved to another element or to a file's name; the fast path changes nothing.
"""

from __future__ import annotations

import re
import shutil
import signal
import tempfile
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from analysis import plan
from analysis.pet.codes import RoiRefused, SeriesRefused
from analysis.pet.metrics import measure
from analysis.pet.series import load_pet
from fuzzing.bases import Base, parse
from fuzzing.reference import PER_SLICE, RELEVANT, contradicted, reference_suv, touched

CPU_SECONDS = 4.0
TOLERANCE = 0.01
_DATE = r"(?<!\d)(?:19|20)\d\d[-./]?(?:0[1-9]|1[0-2])[-./]?(?:0[1-9]|[12]\d|3[01])(?!\d)"
_UID = r"(?<![\d.])[012](?!\.2\.840\.10008\.)(?:\.\d+){3,}"  # but those of the standard itself
_WORDS = ["NEMO", "NOBODY", "4711", "HOSPITAL", "ACC0815", "STS_"]
FORBIDDEN = re.compile("|".join([_DATE, _UID, *_WORDS, tempfile.gettempdir()]), re.IGNORECASE)


class Hang(BaseException):
    """The bound of processor time is over; no handler of the code under test may swallow it."""


class Verdict(NamedTuple):
    """How a case ended: CLEAN, NOTED, LEGITIMATE, REFUSED or FAILED, with code or reason."""

    outcome: str
    detail: str = ""


@contextmanager
def bounded(seconds: float = CPU_SECONDS):
    """Interrupt a block that takes too much processor time."""

    def stop(number, frame):
        raise Hang

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


@contextmanager
def written(files: dict[str, bytes]):
    """Write files into a folder of their own."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz"))
    try:
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        yield folder
    finally:
        shutil.rmtree(folder)


def rules_with(fast: bool):
    """Return the plan's section `pet` with the fast path on or off."""
    if "pet.fast_path" not in plan.defaults().values:
        return plan.defaults().pet
    return plan.defaults().override({"pet.fast_path": fast}).pet


def attempt(work, seconds: float = CPU_SECONDS):
    """Return (result, None) or (None, coded refusal); anything else is left to rise."""
    with bounded(seconds), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", RuntimeWarning)  # an overflow or a division by zero nobody looked at
        try:
            return work(), None
        except (SeriesRefused, RoiRefused) as refusal:
            return None, refusal


def learn_notes(base: Base) -> None:
    """Record what the reader notes of the clean series, and check that it reads what was planted."""
    with written(base.files) as folder:
        pet = load_pet(folder)
    assert same(pet.values, base.suv), f"the clean series {base.name!r} does not read what was planted"
    base.notes = notes_of(pet)


def notes_of(pet) -> set[str]:
    """Return all that an image carries as recorded reasons."""
    passed = {f"passed over: {key}" for key, count in pet.facts["passed_over"].items() if count}
    return {*pet.adaptations, *pet.facts["flags"], *passed}


def same(found, planted) -> bool:
    """Tell whether every slice found is one of those planted, within the tolerance, whatever its shape."""
    planted = [np.sort(np.ravel(suv)) for suv in planted]
    for suv in found:
        suv = np.sort(np.ravel(suv))
        if not any(
            len(suv) == len(other)
            and np.all(np.abs(suv - other) <= TOLERANCE * np.abs(other) + 2e-4 * np.abs(other).max())
            for other in planted
        ):
            return False
    return True


def judge(base: Base, files: dict[str, bytes]) -> Verdict:
    """Read a mutated series, with and without the fast path, and judge the outcome."""
    with written(files) as folder:
        try:
            pet, refusal = attempt(lambda: load_pet(folder, rules=rules_with(True)))
            slow, other = attempt(lambda: load_pet(folder, rules=rules_with(False)))
            if refusal is None:
                attempt(lambda: measure(pet, np.ones(pet.values.shape, bool)))
        except Hang:
            return Verdict("FAILED", f"more than {CPU_SECONDS:g} s of processor time")
        except Exception as error:  # that is what is looked for
            return Verdict("FAILED", f"raised {_where(error)}")
    difference = _difference(pet, refusal, slow, other)
    if difference:
        return Verdict("FAILED", f"fast path differs: {difference}")
    if refusal is not None:
        leak = FORBIDDEN.search(refusal.message)
        if leak or not re.fullmatch(r"[A-Z][A-Z0-9_]+", refusal.code):
            return Verdict("FAILED", f"message of {refusal.code} tells {leak and leak[0]!r}")
        return Verdict("REFUSED", refusal.code)
    return _judge_image(base, files, pet)


def _judge_image(base: Base, files: dict[str, bytes], pet) -> Verdict:
    finite = np.isfinite(pet.values).all() and np.isfinite(pet.affine).all()
    if not finite or not np.all(np.isfinite(pet.suv_factors) & (pet.suv_factors > 0)):
        return Verdict("FAILED", "SUV, factor or affine not finite")
    new = notes_of(pet) - base.notes
    if len(pet.values) < min(len(base.files), len(files)) and not new:
        return Verdict("FAILED", f"{len(pet.values)} of {len(files)} slices and no note")
    if same(pet.values, base.suv):
        return Verdict("NOTED", "+".join(sorted(new))) if new else Verdict("CLEAN")
    parsed = _parsed(files)
    reference = reference_suv(parsed) if parsed else None
    if reference is not None and not same(pet.values, reference):
        return Verdict(
            "FAILED", f"wrong: {_ratio(pet.values, base.suv)} of the clean SUV, notes {sorted(new)}"
        )
    if new:
        return Verdict("NOTED", "+".join(sorted(new)))
    reason = _contradiction(base, files, parsed)
    if reason or reference is None:
        return Verdict(
            "FAILED",
            f"silent: {_ratio(pet.values, base.suv)} of the clean SUV by {reason or 'no known element'}",
        )
    return Verdict("LEGITIMATE", "+".join(sorted(touched(base.files, files, parse).keys() & RELEVANT)))


def _parsed(files: dict[str, bytes]):
    try:
        return [parse(content) for content in files.values()]
    except Exception:  # pydicom raises many types
        return None


def _contradiction(base: Base, files: dict[str, bytes], parsed) -> str:
    """Name the elements whose change the header itself contradicts, or that nobody touched."""
    counts = touched(base.files, files, parse)
    relevant = {key: count for key, count in counts.items() if key in RELEVANT}
    if not relevant:
        return f"none of {sorted(counts)}"
    partial = [key for key, count in relevant.items() if count < len(base.files) and key not in PER_SLICE]
    stated = [key for key in relevant if parsed and contradicted(key, parsed[0])]
    return ", ".join(
        [*(f"{key} on some slices" for key in partial), *(f"{key} against others" for key in stated)]
    )


def _difference(pet, refusal, slow, other) -> str:
    if (refusal and refusal.code) != (other and other.code):
        return f"{refusal.code if refusal else 'read'} against {other.code if other else 'read'}"
    if refusal is not None:
        return "" if refusal.message == other.message else f"messages of {refusal.code}"
    if not (
        np.array_equal(pet.values, slow.values, equal_nan=True)
        and np.array_equal(pet.affine, slow.affine, equal_nan=True)
    ):
        return "SUV or affine"
    if (pet.adaptations, pet.facts["flags"]) != (slow.adaptations, slow.facts["flags"]):
        return "notes"
    keys = {
        key
        for key in pet.facts.keys() | slow.facts.keys()
        if str(pet.facts.get(key)) != str(slow.facts.get(key))
    }
    return f"facts {sorted(keys)}" if keys else ""


def _ratio(values, planted) -> str:
    highest = float(np.max(values)) / float(np.max(planted))
    return f"{highest:.4g} x"


def _where(error: Exception) -> str:
    trace, place = error.__traceback__, ""
    while trace:
        code = trace.tb_frame.f_code
        if "analysis" in code.co_filename:
            place = f"{Path(code.co_filename).name}:{trace.tb_lineno} {code.co_name}"
        trace = trace.tb_next
    return f"{type(error).__name__} at {place}: {str(error)[:80]}"
