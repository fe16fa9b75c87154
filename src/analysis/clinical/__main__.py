"""Renew ``docs/clinical.md`` from the rules, contracts and codes: ``python -m analysis.clinical``."""

from pathlib import Path

from analysis.clinical.document import clinical_text

FILE = Path(__file__).resolve().parents[3] / "docs" / "clinical.md"

if __name__ == "__main__":
    FILE.write_text(clinical_text(), encoding="utf-8")
