"""Estimates from classes drawn again: shares counted by hand, hazard ratios those of Cox on the same classes."""

import numpy as np
import pandas as pd
import pytest

from analysis import contracts
from analysis.survival import association, cox
from analysis.survival.association.misclassification import estimate_misclassification
from analysis.survival.association.redrawn import Model, collect_cells, fit_cell, resample_patients

LEVELS, DRAWS = [0.5, 1.0, 2.0], 6
NO_CHANCES = pd.DataFrame(columns=["CV", "CORRELATION", "LESIONS", "FALL", "ESTIMATE", "N"])


def rng():
    return np.random.default_rng(7)


@pytest.fixture(scope="module")
def asked(plan):
    fixed = {"primary.timepoint": "D14", "misclassification.draws": 20}
    fixed |= {"misclassification.extrapolation": "quadratic"}
    return type(plan)(plan.study, {**plan.values, **fixed})


@pytest.fixture(scope="module")
def sets(cohort, asked):
    return association.prepare(cohort, asked)


def rows_of(subjects, classes, lesions, **place):
    found = pd.DataFrame({"USUBJID": subjects, "MRESP": classes, "NLESION": lesions, "AVISIT": "D14"})
    return found.assign(**place)


@pytest.fixture(scope="module")
def redrawn(sets):
    """Return classes in which draw `d` of a level turns `d` (times the level) other patients round."""
    subjects = sets.cohort.adsl["USUBJID"]
    own = (
        sets.cohort.admr.query("AVISIT == 'D14' and CUT == 25")
        .set_index("USUBJID")["MRESP"]
        .reindex(subjects)
    )
    lesions = np.resize([1, 2, 3, 5], len(subjects))
    parts = [rows_of(subjects, own.to_numpy(), lesions, CV=0.0, CORRELATION=0.0, LEVEL=0.0, DRAW=0)]
    order, other = (
        rng().permutation(len(subjects)),
        {"RESPONDER": "NON-RESPONDER", "NON-RESPONDER": "RESPONDER"},
    )
    for level in LEVELS:
        for draw in range(1, DRAWS + 1):
            classes = own.to_numpy().copy()
            turned = order[draw : draw + round(2 * level)]
            classes[turned] = [other[name] for name in classes[turned]]
            parts.append(
                rows_of(subjects, classes, lesions, CV=12.0, CORRELATION=0.5, LEVEL=level, DRAW=draw)
            )
    found = pd.concat(parts, ignore_index=True)
    elsewhere = found.assign(AVISIT="D28", MRESP="NE")
    return pd.concat([found, elsewhere], ignore_index=True)


def exposure(redrawn, sets, level, draw):
    rows = redrawn.query("AVISIT == 'D14' and LEVEL == @level and DRAW == @draw").set_index("USUBJID")[
        "MRESP"
    ]
    return rows.reindex(sets.data["PFS"]["USUBJID"]).eq("NON-RESPONDER").to_numpy()


def test_changes_of_class_are_counted_of_those_analysed_and_by_number_of_lesions(sets, redrawn, asked):
    table, _ = estimate_misclassification(sets, redrawn, NO_CHANCES, asked, rng())
    data = sets.data["PFS"]
    own = data["exposed"].to_numpy()
    moved = np.array([(exposure(redrawn, sets, 2.0, draw) != own).mean() for draw in range(1, DRAWS + 1)])
    row = table.query("QUANTITY == 'class_change' and LEVEL == 2 and LESIONS.isna()").iloc[0]
    assert row["ESTIMATE"] == pytest.approx(moved.mean()) and moved.mean() > 0
    assert row[["LOWER", "UPPER"]].tolist() == pytest.approx(np.quantile(moved, [0.025, 0.975]).tolist())
    assert (row["N"], row["DRAWS"]) == (len(data), DRAWS)
    parts = table.query("QUANTITY == 'class_change' and LEVEL == 2 and LESIONS.notna()")
    assert parts["LESIONS"].tolist() == [1, 2, 4]  # strata 1, 2-3, 4+
    assert parts["N"].sum() == len(data)
    assert (parts["ESTIMATE"] * parts["N"]).sum() == pytest.approx(moved.mean() * len(data))
    share = table.query("QUANTITY == 'nonresponse' and LEVEL == 0 and LESIONS.isna()").iloc[0]
    assert share["ESTIMATE"] == pytest.approx(own.mean()) and np.isnan(share["LOWER"])
    assert table.query("QUANTITY == 'not_evaluable'")["ESTIMATE"].eq(0).all()


def test_hazard_ratios_and_attenuation_are_those_of_cox_on_the_same_classes(sets, redrawn, asked):
    table, estimates = estimate_misclassification(sets, redrawn, NO_CHANCES, asked, rng())
    data = sets.data["PFS"]
    drawn = [exposure(redrawn, sets, 1.0, draw).astype(float) for draw in range(1, DRAWS + 1)]
    coef = np.array([cox(data["time"], data["event"], one)["coef"].iloc[0] for one in drawn])
    own = cox(data["time"], data["event"], data["exposed"].astype(float))["coef"].iloc[0]
    rows = table[table["ENDPOINT"].eq("PFS")]
    found = {
        name: rows[rows["QUANTITY"].eq(name) & rows["LEVEL"].eq(1)].iloc[0]
        for name in ("hazard_ratio", "attenuation")
    }
    assert found["hazard_ratio"]["ESTIMATE"] == pytest.approx(np.exp(coef.mean()), rel=1e-6)
    assert found["attenuation"]["ESTIMATE"] == pytest.approx(1 - coef.mean() / own, rel=1e-5)
    once = estimates.query("ENDPOINT == 'PFS' and METHOD == 'hazard_ratio_redrawn'").iloc[0]
    assert once["ESTIMATE"] == pytest.approx(found["hazard_ratio"]["ESTIMATE"])
    measured = rows[rows["QUANTITY"].eq("hazard_ratio") & rows["LEVEL"].eq(0)].iloc[0]
    assert measured["ESTIMATE"] == pytest.approx(np.exp(own), rel=1e-6)


def test_without_error_the_parabola_through_three_levels_is_taken_and_its_interval_is_a_bootstrap(
    sets, redrawn, asked
):
    table, estimates = estimate_misclassification(sets, redrawn, NO_CHANCES, asked, rng())
    rows = table[table["ENDPOINT"].eq("PFS")]
    logs = np.log(rows[rows["QUANTITY"].eq("hazard_ratio")].set_index("LEVEL")["ESTIMATE"])
    curve = np.polyfit(LEVELS, logs[LEVELS], 2)  # through three points, exactly
    row = estimates.query("ENDPOINT == 'PFS' and METHOD == 'simex'").iloc[0]
    assert np.log(row["ESTIMATE"]) == pytest.approx(np.polyval(curve, -1), abs=1e-9)
    assert row["LOWER"] < row["ESTIMATE"] < row["UPPER"] and np.isnan(row["P"])
    assert row["ROLE"] == "SENSITIVITY" and "CV 12 %" in row["LABEL"] and "correlated 0.5" in row["LABEL"]
    model = Model.of(sets.data["PFS"], sets.analyses["PFS"], asked)
    (cell,) = collect_cells(sets.data["PFS"], redrawn.query("AVISIT == 'D14'"))
    again = resample_patients(model, cell, np.array([0.0, 1.0, 0.0]), 300, rng())
    one = cox(sets.data["PFS"]["time"], sets.data["PFS"]["event"], sets.data["PFS"]["exposed"].astype(float))
    assert again == pytest.approx(one["se"].iloc[0], rel=0.3)  # of a mean of nearly the same classes
    drawn = rows[rows["QUANTITY"].eq("simex_curve")].set_index("LEVEL")["ESTIMATE"]
    today = estimates.query("ENDPOINT == 'PFS' and METHOD == 'simex_today'").iloc[0]
    assert np.log(today["ESTIMATE"]) == pytest.approx(np.polyval(curve, 0), abs=1e-9)
    assert today["ESTIMATE"] == pytest.approx(drawn[0.0]) and np.isnan([today["LOWER"], today["P"]]).all()
    adds = np.sign(logs[0]) * logs[1] >= abs(logs[0])
    assert ("no attenuation corrected" in row["LABEL"]) == adds
    assert np.log(drawn[0.5]) == pytest.approx(logs[0.5]) and np.log(drawn[-1.0]) == pytest.approx(
        np.log(row["ESTIMATE"])
    )


def test_the_tables_keep_their_contracts_and_repeat(sets, redrawn, asked):
    chances = pd.DataFrame([(12.0, 0.5, 5, 30.0, 0.8, 100)], columns=list(NO_CHANCES))
    twice = [estimate_misclassification(sets, redrawn, chances, asked, rng()) for _ in range(2)]
    for one, other in zip(*twice, strict=True):
        pd.testing.assert_frame_equal(one, other)
    table, estimates = twice[0]
    contracts.check("misclassification", table)
    contracts.check("estimates", estimates)
    assert table.query("QUANTITY == 'nonresponse_true'")[
        ["LESIONS", "ESTIMATE", "N"]
    ].to_numpy().tolist() == [[5, 0.8, 100]]
    assert set(estimates["ENDPOINT"]) == {"PFS", "OS"}
    assert set(estimates.loc[estimates["ENDPOINT"].eq("OS"), "ESTIMATOR"]) == {"FIRTH"}


def test_who_has_no_class_in_a_draw_is_counted_and_not_in_its_model(sets, redrawn, asked):
    data = sets.data["PFS"]
    lost = redrawn.copy()
    gone = lost["USUBJID"].isin(data["USUBJID"].iloc[:2]) & lost["LEVEL"].eq(1) & lost["DRAW"].eq(3)
    lost.loc[gone & lost["AVISIT"].eq("D14"), "MRESP"] = "NE"
    table, _ = estimate_misclassification(sets, lost, NO_CHANCES, asked, rng())
    row = table.query("QUANTITY == 'not_evaluable' and LEVEL == 1 and LESIONS.isna()").iloc[0]
    assert row["ESTIMATE"] == pytest.approx(2 / len(data) / DRAWS)
    (cell,) = collect_cells(data, lost.query("AVISIT == 'D14'"))
    fits = fit_cell(Model.of(data, sets.analyses["PFS"], asked), cell)
    place = 1 + DRAWS + 2
    inside = ~np.isnan(cell.exposed[place])
    rest = data[inside]
    expected = cox(rest["time"], rest["event"], cell.exposed[place][inside]).iloc[0]
    assert inside.sum() == len(data) - 2
    assert fits["coef"][place] == pytest.approx(expected["coef"], abs=1e-7)
    assert fits["variance"][place] == pytest.approx(expected["se"] ** 2, rel=1e-6)


def test_variances_of_firth_are_those_of_its_package(sets, redrawn, asked):
    data, model = sets.data["OS"], Model.of(sets.data["OS"], sets.analyses["OS"], asked)
    (cell,) = collect_cells(data, redrawn.query("AVISIT == 'D14'"))
    fits = fit_cell(model, cell)
    assert model.estimator == "FIRTH"
    for place in (0, 5):
        expected = cox(
            data["time"], data["event"], cell.exposed[place], penalty="firth", ties="breslow"
        ).iloc[0]
        assert fits["coef"][place] == pytest.approx(expected["coef"], abs=1e-6)
        assert fits["variance"][place] == pytest.approx(expected["se"] ** 2, rel=1e-5)


def test_monotone_draws_are_left_out_and_the_label_counts_them(sets, redrawn, asked):
    event = sets.data["PFS"].set_index("USUBJID")["event"]
    apart = redrawn.copy()
    at = apart["LEVEL"].eq(2) & apart["DRAW"].eq(1) & apart["AVISIT"].eq("D14")
    apart.loc[at, "MRESP"] = (
        apart.loc[at, "USUBJID"].map(event).map({True: "NON-RESPONDER", False: "RESPONDER"}).fillna("NE")
    )
    table, estimates = estimate_misclassification(sets, apart, NO_CHANCES, asked, rng())
    row = table.query("QUANTITY == 'hazard_ratio' and LEVEL == 2 and ENDPOINT == 'PFS'").iloc[0]
    assert row["DRAWS"] == DRAWS - 1 and np.isfinite(row["ESTIMATE"])
    label = estimates.query("ENDPOINT == 'PFS' and METHOD == 'simex'")["LABEL"].iloc[0]
    assert f"1 of {3 * DRAWS} redrawn studies without a finite estimate left out" in label


def test_too_few_levels_say_so_in_the_row(sets, redrawn, asked):
    table, estimates = estimate_misclassification(
        sets, redrawn[redrawn["LEVEL"].lt(2)], NO_CHANCES, asked, rng()
    )
    row = estimates[estimates["METHOD"].eq("simex")].iloc[0]
    assert np.isnan(row["ESTIMATE"]) and "not estimable: 2 levels of error" in row["LABEL"]
    assert not table["QUANTITY"].isin(["simex", "simex_curve"]).any()
    twice = redrawn[redrawn["LEVEL"].isin([0, 2])]
    _, estimates = estimate_misclassification(sets, twice, NO_CHANCES, asked, rng())
    assert estimates["METHOD"].eq("simex").all()  # the error of one more measurement was not added


def test_classes_of_another_analysis_are_refused_and_none_give_empty_tables(sets, redrawn, asked):
    other = redrawn.copy()
    first = other["USUBJID"].eq(sets.data["PFS"]["USUBJID"].iloc[0]) & other["LEVEL"].eq(0)
    other.loc[first, "MRESP"] = (
        other.loc[first, "MRESP"].map({"RESPONDER": "NON-RESPONDER"}).fillna("RESPONDER")
    )
    with pytest.raises(ValueError, match="REDRAWN_OTHERWISE: 1 of"):
        estimate_misclassification(sets, other, NO_CHANCES, asked, rng())
    table, estimates = estimate_misclassification(sets, redrawn.iloc[:0], NO_CHANCES, asked, rng())
    assert table.empty and estimates.empty
    contracts.check("misclassification", table)
