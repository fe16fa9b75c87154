"""The lock, pyproject.toml and environment.yml name the same versions; run as a script it renews environment.yml."""

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
HEADER = "# For conda users: the same top-level pins as requirements.lock. Written by `make lock`, checked by the tests.\n"


def locked_versions() -> dict[str, str]:
    """Name -> version of every package in the lock."""
    text = (ROOT / "requirements.lock").read_text()
    return dict(re.findall(r"^([a-z0-9][\w.-]*)==([^\s;\\]+)", text, flags=re.M))


def top_level() -> list[str]:
    """Return names that pyproject.toml asks for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    return sorted({re.match(r"[\w.-]+", line).group(0).lower() for line in wanted})


def expected_environment() -> str:
    """Return the text environment.yml must hold."""
    locked = locked_versions()
    content = {
        "name": "pearl-compendium",
        "channels": ["conda-forge"],
        "dependencies": ["python=3.11", "pip", {"pip": [f"{name}=={locked[name]}" for name in top_level()]}],
    }
    return HEADER + yaml.safe_dump(content, sort_keys=False)


def test_environment_yml_names_the_pins_of_the_lock():
    assert (ROOT / "environment.yml").read_text() == expected_environment()


def test_every_locked_package_carries_a_hash():
    entries = re.split(r"\n(?=[a-z0-9][\w.-]*==)", (ROOT / "requirements.lock").read_text())[1:]
    assert len(entries) > 100
    assert [entry.split("==")[0] for entry in entries if "--hash=sha256:" not in entry] == []


def test_the_locks_name_no_address_and_no_path():
    for name in ("requirements.lock", "requirements-bootstrap.lock", "tests/browser/requirements.lock"):
        text = (ROOT / name).read_text()
        assert not re.search(r"https?://|file:|--index-url|--find-links|(^|\s)/\w+/", text), name


def test_no_package_that_we_import_is_gpl():
    # Tools under the GPL may be run or serve as an oracle; they are not in the lock at all.
    assert not {"scikit-survival", "pingouin", "pylibjpeg-libjpeg"} & set(locked_versions())


if __name__ == "__main__":
    (ROOT / "environment.yml").write_text(expected_environment())
