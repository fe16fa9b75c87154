"""The command that builds the report site: ``python -m analysis.site --study virtual``."""

from __future__ import annotations

import argparse
import sys

from analysis import plan, storage
from analysis.privacy import gate, identifiers
from analysis.privacy.search import Searcher
from analysis.report import ReportError
from analysis.site.build import STEP, build, open_editions, write
from analysis.site.edition import SiteError
from analysis.tables.format import counted

_REFUSALS = (SiteError, ReportError, storage.RunError, plan.PlanError)


def main(arguments: list[str] | None = None) -> int:
    """Build the site of a study from its reports and derived tables.

    Returns
    -------
    int
        0 where it was built, 1 where it was held back or cannot be built.
    """
    parser = argparse.ArgumentParser(prog="python -m analysis.site", description=__doc__.splitlines()[0])
    parser.add_argument("--study", default=storage.DEFAULT_STUDY, help="name of the study")
    parser.add_argument("--raw-dir", help="raw folder, where it is not data/raw/STUDY")
    options = parser.parse_args(arguments)
    try:
        editions = open_editions(options.study, options.raw_dir)
        reports = f"reports/{editions[0].plan.study}"
        run = storage.resolve(STEP, study=options.study, raw_dir=options.raw_dir, reports_dir=reports)
        searcher = Searcher(run.rules(), run.vocabulary())
        files = build(editions, lambda text: not searcher.search("value.txt", text.encode()))
        searched = set().union(*(storage.searched_files(edition.folder) for edition in editions))
        first = write(run, files, searched)
    except (*_REFUSALS, gate.PrivacyError, identifiers.VocabularyMissing) as error:
        print(f"refused: {error}", file=sys.stderr)
        return 1
    print(f"The site is {first.relative_to(storage.project_root())}: {counted(len(editions), 'scenario')}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
