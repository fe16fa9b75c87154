"""``python -m analysis.contracts``: write the dictionary of every table into ``data/README.md``."""

from analysis.contracts import dictionary_text
from analysis.storage import project_root

readme = project_root() / "data" / "README.md"
head, mark, tail = readme.read_text(encoding="utf-8").partition("<!-- generated from analysis.contracts")
first_line = tail.split("\n", 1)[0]
readme.write_text(f"{head}{mark}{first_line}\n\n{dictionary_text()}", encoding="utf-8")
