"""A SAS transport file without rows is searched, not refused: a study without lesions writes one."""

import pandas as pd
import pyreadstat

from analysis.privacy.documents import read_xport


def test_a_transport_file_without_rows_is_read(tmp_path):
    frame = pd.DataFrame({"USUBJID": pd.Series([], dtype=str), "AVAL": pd.Series([], dtype=float)})
    pyreadstat.write_xport(frame, tmp_path / "adtr.xpt", table_name="ADTR", file_format_version=5)
    found = read_xport((tmp_path / "adtr.xpt").read_bytes())
    assert "ADTR" in str(found.__dict__)
