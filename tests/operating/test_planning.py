"""Planned sizes: simulated power against R's survdiff, against Schoenfeld where it holds, and where it does not."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from analysis import contracts, plan
from analysis.operating.expected import curve_power, expect_power, needed_size, sizes_by_patients
from analysis.operating.planning import Design, describe_groups, plan_size, simulate_power
from analysis.survival.power import schoenfeld_power

MONTE_CARLO = 0.01

GRID = 56 / 30.4375
TIMES = {"median": 4.0, "accrual": 24.0, "follow_up": 6.0, "loss_mean": 90.0}
# R 4.2, survival 3.5: 20,000 trials each, uniform accrual, exponential times and loss, survdiff() at 0.05; on the
# grid progression is seen at ceiling(time / 56 days). Patients, hazard ratio, grid, power, its error, mean events.
R_POWER = [
    (80, 2.0, 0.0, 0.7251, 0.0032, 68.50),
    (80, 2.0, GRID, 0.7132, 0.0032, 66.75),
    (45, 2.5, 0.0, 0.6862, 0.0033, 38.07),
    (45, 2.5, GRID, 0.6866, 0.0033, 37.09),
]


@pytest.fixture(scope="module")
def small_plan():
    return plan.defaults().override(
        {"planning.trials": 2000, "planning.hazard_ratios_shown": [2.5], "planning.hazard_ratio": 2.0}
    )


@pytest.fixture(scope="module")
def table(small_plan):
    return plan_size(small_plan, np.random.default_rng(3))


@pytest.mark.parametrize(("n", "ratio", "grid", "power", "error", "events"), R_POWER)
def test_power_and_events_are_those_of_survdiff_in_r(n, ratio, grid, power, error, events):
    found = simulate_power(Design(ratio, 0.667, interval=grid, **TIMES), [n], 3000, 1).iloc[0]
    assert abs(found["POWER"] - power) < 3 * np.hypot(error, found["SE"])
    assert found["EVENTS"] == pytest.approx(events, abs=0.2)  # 3,000 trials: error of the mean 0.05


def test_with_many_events_and_a_small_effect_schoenfelds_power_is_found():
    design = Design(1.2, 0.5, **TIMES)
    found = simulate_power(design, [1100], 2000, 2).iloc[0]
    assert found["EVENTS"] / 1100 == pytest.approx(design.event_probability, abs=0.002)
    expected = schoenfeld_power(found["EVENTS"], 0.5, 1.2)
    assert abs(found["POWER"] - expected) < 3 * found["SE"]


def test_at_38_events_and_two_thirds_non_responders_the_formula_promises_too_much():
    found = simulate_power(Design(2.0, 0.667, **TIMES), [44], 4000, 3).iloc[0]
    promised = schoenfeld_power(found["EVENTS"], 0.667, 2.0)
    assert found["EVENTS"] == pytest.approx(37.7, abs=0.2)
    assert promised - found["POWER"] > 3 * found["SE"]  # .52 against .455 in 20,000 trials


def test_without_effect_every_twentieth_trial_rejects():
    found = simulate_power(Design(1.0, 0.5, **TIMES), [400], 4000, 4).iloc[0]
    assert abs(found["POWER"] - 0.05) < 3 * np.sqrt(0.05 * 0.95 / 4000)


def test_a_smaller_trial_is_the_first_patients_of_the_larger():
    design = Design(2.0, 0.6, **TIMES)
    alone = simulate_power(design, [30], 300, 5).iloc[0]
    among = simulate_power(design, [30, 60], 300, 5).iloc[0]
    pd.testing.assert_series_equal(alone, among)


def test_the_table_has_its_contract_and_three_methods_for_each_effect(table):
    contracts.CONTRACTS["planning"].validate(table)
    assert table["HR"].tolist() == [2.0] * 3 + [2.5] * 3
    assert table["METHOD"].tolist() == ["schoenfeld", "simulation", "simulation_grid"] * 2
    assert table.loc[table["METHOD"].eq("schoenfeld"), ["FOUND", "SE", "TRIALS"]].isna().all(axis=None)


def test_the_formulas_size_follows_by_hand(table):
    # 7.848879 / (.667 x .333 x ln(2)^2) = 73.55: 74 events; / .8564127 (quadrature in R) = 86.4: 87 patients
    row = table.iloc[0]
    assert (row["EVENTS"], row["PATIENTS"]) == (74, 87)


def test_a_trial_of_the_simulated_size_has_the_power_asked_for(table):
    for place, grid in ((1, 0.0), (2, GRID)):
        row = table.iloc[place]
        again = simulate_power(Design(2.0, 0.667, interval=grid, **TIMES), [int(row["PATIENTS"])], 8000, 77)
        # Monte Carlo errors of 2,000 and 8,000 trials at .8; the formula's size misses by more (.768).
        assert again["POWER"].iloc[0] == pytest.approx(0.8, abs=3 * np.hypot(0.0089, 0.0045))


def test_found_is_the_power_simulated_at_the_formulas_size(small_plan, table):
    seed = int(np.random.default_rng(3).integers(2**63))
    again = simulate_power(Design(2.0, 0.667, **TIMES), [87], 2000, seed).iloc[0]
    assert table.iloc[1][["FOUND", "SE"]].tolist() == again[["POWER", "SE"]].tolist()


def test_the_same_seed_gives_the_same_table_and_reports_progress(small_plan):
    seen, quick = [], small_plan.override({"planning.trials": 200})
    report = lambda *done: seen.append(done)
    one, again = (plan_size(quick, np.random.default_rng(3), report=report) for _ in range(2))
    pd.testing.assert_frame_equal(one, again)
    assert seen == [("planned effects", 1, 2), ("planned effects", 2, 2)] * 2
    other = plan_size(quick, np.random.default_rng(4))
    assert not other["FOUND"].equals(one["FOUND"])


def test_an_effect_of_one_is_refused(small_plan):
    with pytest.raises(ValueError, match="no number of events finds a hazard ratio of 1"):
        plan_size(small_plan.override({"planning.hazard_ratio": 1.0}), np.random.default_rng(1))


def test_what_a_hazard_ratio_means_for_the_groups(small_plan):
    # R (uniroot): hazard of responders .1071383537 at 2.0: medians ln 2 / .1071384 = 6.46965, and half of it;
    # non-responders event-free at 4 months: .667 exp(-8 x .1071384) / .5 = .566134; events by the end .8564128
    row = describe_groups(small_plan).set_index("HR").loc[2.0]
    assert row.tolist() == pytest.approx([6.46965, 3.23482, 0.566134, 0.856413], abs=1e-5)
    alike = describe_groups(small_plan.override({"planning.hazard_ratio": 1.0})).set_index("HR").loc[1.0]
    assert alike["MEDIAN_RESPONDER"] == alike["MEDIAN_NONRESPONDER"] == pytest.approx(4.0)
    assert alike["STILL_NONRESPONDER"] == pytest.approx(0.667)


def characteristics():
    rows = []
    for day, hazard, events, share in (("D14", 2.0, 40.0, 0.6), ("D28", 1.5, 36.0, 0.5)):
        for quantity, value in (("truth", hazard), ("events", events), ("nonresponse", share)):
            rows.append(("t", "s", "PFS", quantity, day, value))
    rows.append(("t", "s", "PFS", "events", "decision", 17.0))
    rows.append(("t", "s", "PFS", "later_day", "PLAN", 0.25))
    rows.append(("t", "s", "PFS", "later_day", "margin", 0.9))
    return pd.DataFrame(rows, columns=["TRUTH", "SIZE", "ENDPOINT", "QUANTITY", "METHOD", "ESTIMATE"])


def test_expected_power_of_the_chosen_day_weighs_the_days_by_hand():
    table = expect_power(characteristics(), ["D14", "D28"]).set_index("METHOD")
    assert table.loc["fixed_earlier", "POWER"] == pytest.approx(schoenfeld_power(40, 0.6, 2.0))
    assert table.loc["fixed_later", "POWER"] == pytest.approx(schoenfeld_power(36, 0.5, 1.5))
    # 2^.75 1.5^.25 = 1.681793 x 1.106682 = 1.861210; 39 events; .575
    assert table.loc["chosen", "HR"] == pytest.approx(1.861210, abs=1e-6)
    assert table.loc["chosen", ["EVENTS", "SHARE"]].tolist() == pytest.approx([39.0, 0.575])


def test_the_curve_of_a_size_is_the_formula_at_its_mean_events():
    expected = expect_power(characteristics(), ["D14", "D28"])
    curve = curve_power(expected, [1.5, 2.0])
    assert curve["EVENTS"].tolist() == [39.0, 39.0]
    assert curve["POWER"].iloc[1] == pytest.approx(schoenfeld_power(39, 0.575, 2.0))
    nothing = expect_power(characteristics().query("QUANTITY != 'later_day'"), ["D14", "D28"])
    assert set(nothing["METHOD"]) == {"fixed_earlier", "fixed_later"}


def test_the_formula_stands_beside_what_was_simulated_for_the_same_analysis():
    table = characteristics().assign(SE=np.nan)
    row = ("t", "s", "PFS", "rejection", "fixed_later", 0.31, MONTE_CARLO)
    table.loc[len(table)] = row
    expected = expect_power(table, ["D14", "D28"]).set_index("METHOD")
    assert expected.loc["fixed_later", ["FOUND", "SE"]].tolist() == [0.31, MONTE_CARLO]
    assert expected.loc["fixed_earlier", ["FOUND", "SE"]].isna().all()


def trials_of(truths, sizes):
    """Return a table in which the probit of the power is a line in sqrt(patients)."""
    rows = []
    for truth, target in truths.items():
        for size, (enrolled, patients) in sizes.items():
            given = (truth, size, "PFS")
            rows.append((*given, "truth", "D14", 1.9, 0.0, np.nan, 2000.0))
            rows.append((*given, "patients", "D14", patients, 0.0, np.nan, 2000.0))
            rows.append((*given, "patients", "D28", 1.0, 0.0, np.nan, 2000.0))
            rows.append((*given, "enrolled", "all", enrolled, np.nan, np.nan, 2000.0))
            for method, slope in (("two_stage", 0.2), ("fixed_earlier", 0.25)):
                power = norm.cdf(slope * np.sqrt(patients) - 1.6)
                rows.append((*given, "rejection", method, power, MONTE_CARLO, target, 2000.0))
    names = ["TRUTH", "SIZE", "ENDPOINT", "QUANTITY", "METHOD", "ESTIMATE", "SE", "TARGET", "TRIALS"]
    return pd.DataFrame(rows, columns=names)


def test_the_size_needed_is_where_the_probit_line_reaches_the_power():
    sizes = {"small": (50.0, 45.0), "large": (100.0, 90.0), "longer": (50.0, 45.0)}
    table = trials_of({"null": 0.05, "planted": np.nan}, sizes)
    found = needed_size(table, ["small", "large"], endpoint="PFS", power=0.8).set_index("METHOD")
    assert set(found["TRUTH"]) == {"planted"} and (found["LARGEST"] == 90).all()
    # (1.6 + .8416212) / .2 = 12.208106, squared 149.0379; / .25 squared 95.3842; 90 % of the enrolled
    assert found["PATIENTS"].tolist() == pytest.approx([149.0379, 95.3842], abs=1e-3)
    assert found["ENROLLED"].tolist() == pytest.approx([165.5976, 105.9825], abs=1e-3)
    assert (found["HR"] == 1.9).all()
    none = needed_size(table, ["small"], endpoint="PFS", power=0.8)
    assert none.empty and "ENROLLED" in none


def test_the_error_of_the_size_is_that_of_redrawn_powers():
    sizes = {"small": (50.0, 45.0), "middle": (65.0, 60.0), "large": (120.0, 113.0)}
    table, rng = trials_of({"planted": np.nan}, sizes), np.random.default_rng(8)
    one = needed_size(table, list(sizes), endpoint="PFS", power=0.8, methods=["two_stage"])["SE"].iloc[0]
    drawn, tests = [], table["QUANTITY"].eq("rejection")
    for _ in range(150):
        noise = rng.normal(0, MONTE_CARLO, len(table)) * tests
        again = table.assign(ESTIMATE=table["ESTIMATE"] + noise)
        drawn += needed_size(again, list(sizes), endpoint="PFS", power=0.8, methods=["two_stage"])[
            "PATIENTS"
        ].tolist()
    assert one == pytest.approx(np.std(drawn), rel=0.25)


def test_sizes_of_other_follow_up_are_left_out():
    weights = {"pilot.planned_events": {"pilot": 25, "extension": 30}}
    sizes = {
        "planned": {},
        "large": {"virtual.n_patients": 90, **weights},
        "short": {"design.cutoff_months": 18.0},
    }
    sizes["both"] = {"virtual.n_patients": 90, "virtual.accrual_months": 30.0}
    assert sizes_by_patients(plan.defaults().override({"operating.sizes": sizes})) == ["planned", "large"]
