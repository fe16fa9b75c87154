"""The analysis plan: defaults documented, unknown names and wrong types refused, overrides recorded."""

import pytest
import yaml

from analysis import plan


def write(tmp_path, text):
    path = tmp_path / "demo.yaml"
    path.write_text(text)
    return path


def test_a_plan_that_only_names_its_study_has_every_default(tmp_path):
    loaded = plan.load("demo", write(tmp_path, "study: demo\n"))
    assert loaded.values == plan.defaults().values
    assert loaded.changed == {} and loaded.overrides == {}


def test_every_default_has_a_reason():
    table = plan.defaults().describe()
    assert len(table) > 60
    assert (table["reason"].str.len() > 0).all()


def test_the_primary_analysis_is_the_one_the_trial_specified():
    primary = plan.defaults().primary
    assert (primary.metric, primary.response_rule, primary.cut_percent) == ("SUVMAX", "any_resistant", 25.0)
    assert (primary.timepoint, primary.landmark, primary.endpoint) == ("pilot", "scan", "PFS")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("study: demo\nprimry: {cut_percent: 15}\n", "unknown section 'primry'; did you mean 'primary'"),
        (
            "study: demo\nprimary: {cut_percnt: 15}\n",
            "no value 'primary.cut_percnt'; did you mean 'primary.cut_percent'",
        ),
        ("study: demo\nprimary: {cut_percent: many}\n", "must be float, found 'many'"),
        ("study: demo\nprimary: {cut_percent: 150}\n", "at most 100, found 150"),
        ("study: demo\nprimary: {landmark: yesterday}\n", "must be one of"),
        ("study: other\n", "is the plan of study 'other', not of 'demo'"),
        ("primary: {}\n", "needs a first line 'study: NAME'"),
        ("study: demo\nprimary: 3\n", "must hold 'name: value' lines"),
        ("study: [demo\n", "no valid YAML"),
    ],
)
def test_a_wrong_plan_is_refused_with_what_and_where(tmp_path, text, message):
    with pytest.raises(plan.PlanError, match=message.replace("(", r"\(")):
        plan.load("demo", write(tmp_path, text))


def test_a_missing_plan_file_says_what_a_minimal_one_holds(tmp_path):
    with pytest.raises(plan.PlanError, match="a minimal one is 'study: demo'"):
        plan.load("demo", tmp_path / "nowhere.yaml")


def test_an_override_is_recorded_and_an_equal_one_is_none():
    base = plan.defaults()
    assert base.override({"primary.cut_percent": 15}).overrides == {"primary.cut_percent": 15.0}
    assert base.override({"primary.cut_percent": 25.0, "primary.metric": None}).overrides == {}


def test_a_study_may_record_the_reason_of_a_value(tmp_path):
    text = yaml.safe_dump(
        {"study": "demo", "primary": {"cut_percent": {"value": 30, "reason": "protocol 2.1"}}}
    )
    loaded = plan.load("demo", write(tmp_path, text))
    assert loaded.primary.cut_percent == 30.0
    row = loaded.describe(["primary"]).set_index("name").loc["primary.cut_percent"]
    assert (row["origin"], row["reason"]) == ("study", "protocol 2.1")


def test_a_restricted_plan_does_not_show_other_sections():
    only = plan.defaults().restrict(["primary"])
    assert only.primary.alpha == 0.05
    with pytest.raises(AttributeError, match="no section 'survival'"):
        _ = only.survival


def test_the_digest_follows_only_the_sections_named():
    base, changed = plan.defaults(), plan.defaults().override({"primary.cut_percent": 15})
    assert base.digest(["visits"]) == changed.digest(["visits"])
    assert base.digest(["primary"]) != changed.digest(["primary"])


def test_a_loaded_plan_cannot_be_changed():
    with pytest.raises(plan.PlanError, match="fixed once loaded"):
        plan.defaults().primary.alpha = 0.1


def test_a_fixed_day_is_a_visit_of_the_study():
    own = plan.defaults().override({"design.followup_visits": ["MRI1", "MRI2"], "primary.timepoint": "MRI2"})
    assert own.primary.timepoint == "MRI2"
    with pytest.raises(plan.PlanError, match=r"primary.timepoint must be 'pilot' or one of .*found 'D99'"):
        plan.defaults().override({"primary.timepoint": "D99"})
    with pytest.raises(plan.PlanError, match="found 'MRI2'"):
        own.override({"design.followup_visits": ["D14"]})
