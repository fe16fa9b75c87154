"""Do the work of notebook 01 on one folder and print what it took, as JSON.

python benchmarks/clinical/derive.py FOLDER
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

from analysis import clinical, plan


def main(folder: str) -> None:
    """Read, derive, query; every stage is timed by the wall clock, the whole by CPU time as well."""
    settings = plan.defaults()
    seconds: dict[str, float] = {}
    began = time.process_time()

    def stage(name: str, work: Callable[..., Any], *arguments: Any) -> Any:
        begin = time.perf_counter()
        result = work(*arguments)
        seconds[name] = time.perf_counter() - begin
        return result

    sdtm = stage("read", clinical.read_sdtm, folder, clinical.domains_needed(settings.clinical))
    adsl = stage("ADSL", clinical.derive_adsl, sdtm, settings)
    adtr = stage("ADTR", clinical.derive_adtr, sdtm, adsl, settings)
    adrs = stage("ADRS", clinical.derive_adrs, sdtm, adtr, adsl, settings)
    adtte = stage("ADTTE", clinical.derive_adtte, adsl, adtr, adrs, settings)
    kept, after_os = stage("PFS <= OS", clinical.check_pfs_os, adtte, settings.clinical)
    stage("sensitivity", clinical.derive_adtte_sensitivity, sdtm, adsl, adtr, adrs, settings)
    stage("ledger", clinical.derive_exclusions, sdtm, adsl, kept, after_os, settings.clinical)
    queries = stage("queries", clinical.check_queries, sdtm, adsl, adtr, adrs, adtte, settings)
    events = kept[kept.PARAMCD.eq("PFS")].CNSR.eq(0)
    if not (len(events) and events.any() and adrs.PARAMCD.eq("OVRLRESP").any()):
        raise ValueError("nothing was derived: the simulated study and the derivation no longer fit")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    rows = {name.lower(): len(frame) for name, frame in sdtm.items() if len(frame)}
    rows |= {"adtr": len(adtr), "adrs": len(adrs), "queries": len(queries), "PFS events": int(events.sum())}
    spent = {"seconds": seconds, "cpu_seconds": time.process_time() - began}
    print(json.dumps({**spent, "rows": rows, "peak_gib": peak / 2**30}))


if __name__ == "__main__":
    main(sys.argv[1])
