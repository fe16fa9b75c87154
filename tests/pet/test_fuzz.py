"""A few hundred cases of the fuzz run (`make fuzz` runs thousands); `fuzzing.judge` defines what may happen."""

import numpy as np
import pytest
from fuzzing.bases import Base, parse, synthetic_bases, unparse
from fuzzing.cases import Cases
from fuzzing.judge import judge, learn_notes, same
from fuzzing.mutations import MUTATIONS, put
from fuzzing.reference import reference_suv


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    return Cases(tmp_path_factory.mktemp("regions"))


def failures(cases, kind, numbers):
    """Return the cases that failed, as lines a person can start from."""
    return [str(result) for result in cases.run_all(kind, numbers) if result.outcome == "FAILED"]


def test_no_mutated_series_crashes_or_changes_suv_silently(cases):
    numbers = range(3, 3 + 7 * 260, 7)  # 7 has no factor with bases or mutations: both go round
    assert failures(cases, "series", numbers) == []


def test_no_mutated_region_file_crashes_or_moves_silently(cases):
    assert failures(cases, "regions", range(5, 5 + 3 * 80, 3)) == []


def test_in_messy_trees_nothing_is_lost_and_intact_scans_are_measured(cases):
    assert failures(cases, "trees", range(8)) == []


# ---- the judge itself ----


def edited(base, **values):
    """Return the files of a base with elements changed on every slice."""
    files = {}
    for name, content in base.files.items():
        ds = parse(content)
        for keyword, value in values.items():
            put(ds, keyword, value)
        files[name] = unparse(ds)
    return files


def test_the_reference_formulas_give_what_was_planted_in_every_dialect():
    for base in synthetic_bases():
        slices = [parse(content) for content in base.files.values()]
        assert same(reference_suv(slices), base.suv), base.name


def test_the_judge_tells_a_restatement_from_a_contradiction():
    """Half the weight on every slice is half the SUV; on one slice it is refused; the dose in MBq is noted."""
    base = synthetic_bases()[0]
    learn_notes(base)
    assert judge(base, base.files).outcome == "CLEAN"
    assert judge(base, edited(base, PatientWeight="35")) == ("LEGITIMATE", "PatientWeight")
    first = next(iter(base.files))
    one = base.files | {first: edited(base, PatientWeight="35")[first]}
    assert judge(base, one) == ("REFUSED", "MIXED_SERIES")
    assert judge(base, edited(base, RadionuclideTotalDose="368.08")) == ("NOTED", "DOSE_IN_MBQ")


def test_the_judge_fails_a_change_that_nobody_noted():
    """A planted SUV that is not the header's: as if the reader had changed it."""
    base = synthetic_bases()[0]
    learn_notes(base)
    other = Base(base.name, base.files, base.suv * 1.02, base.notes)
    assert judge(other, base.files).outcome == "FAILED"


@pytest.fixture(scope="module")
def three_bases():
    return synthetic_bases()[:3]


@pytest.mark.parametrize("name", list(MUTATIONS))
def test_a_mutation_is_a_function_of_its_seed_and_leaves_its_base_alone(name, three_bases):
    bases, before = three_bases, [dict(base.files) for base in three_bases]
    once, again = (MUTATIONS[name](np.random.default_rng(4), bases[0], bases) for _ in range(2))
    assert once == again and [base.files for base in bases] == before


@pytest.mark.real
def test_crops_of_real_series_survive_too(shared_data, tmp_path):
    cases = Cases(tmp_path, shared_data)
    names = [base.name for base in cases.series]
    real = [number for number in range(2000) if names[number % len(names)].startswith("real")]
    assert failures(cases, "series", real[::5]) == []
