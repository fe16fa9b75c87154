"""The result of the benchmark as text: times in ms and in F, targets, where the time goes, agreement."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

Result = dict[str, Any]

# job -> (ours, peers)
_JOBS = {
    "series + SEG to every metric, both reference regions, MIP": (
        ["whole scan", "whole scan, RTSTRUCT", "whole scan, fast path off"],
        ["MIRP cropped", "MIRP default", "z-rad run", "pyCERR run"],
    ),
    "read a series (ours, MIRP, z-rad, pyCERR: to SUV; the others: to Bq/ml)": (
        ["load_pet", "load_pet, fast path off"],
        [
            "pydicom headers", "pydicom + frombuffer", "pydicom + pixel_array", "dcm2niix", "SimpleITK",
            "highdicom", "MIRP", "z-rad", "pyCERR",
        ],
    ),
    "sparse SEG, 12 regions": (["sparse SEG"], ["highdicom sparse SEG", "z-rad sparse SEG"]),
    "full-frame SEG, 3,260 frames": (["full-frame SEG"], ["highdicom full SEG"]),
    "RTSTRUCT, 12 regions": (["RTSTRUCT"], ["pydicom parses RTSTRUCT", "rt-utils RTSTRUCT"]),
    "NIfTI, 12 masks": (["NIfTI"], []),
    "every metric of 12 regions": (["metrics"], ["pyradiomics first order"]),
    "SUVpeak of 10 lesions": (["SUVpeak"], ["scipy convolve", "scipy fftconvolve"]),
    "41 % growing, 10 seeds": (
        ["growing 41 %"],
        ["SimpleITK ConnectedThreshold", "cc3d", "scipy label"],
    ),
    "liver and aorta proposed from the image": (["proposed references"], []),
    "MIP of a loaded image": (["MIP"], []),
}  # fmt: skip
_STAGES = {
    "read headers and pixels": "read slices",
    "ROI file": "sparse SEG",
    "metrics of 10 lesions": "metrics of lesions",
    "both reference regions": "metrics of references",
    "MIP": "MIP",
}
_AGREEMENT = ("suv_max", "suv_mean", "suv_sd", "suv_peak", "suv_peak_at_max", "mtv_ml")


def _x(result: Result, name: str, module: str = "ours") -> float | None:
    return result[module].get(name, {}).get("x_floor")


def _times(result: Result, peer: str, ours: str) -> float | None:
    """Return how many times a peer's time is of ours, each measured against the floor beside it."""
    theirs, mine = _x(result, peer, "peers"), _x(result, ours)
    return theirs / mine if theirs and mine else None


def _rate(*path: str) -> Callable[[Result], float | None]:
    def read(result: Result) -> float | None:
        found = result.get("fan_out", {})
        for key in path:
            found = found.get(key, {}) if isinstance(found, dict) else {}
        return found if isinstance(found, float) else None

    return read


# what, measured by, "<=" or ">=", target, unit
_TARGETS: list[tuple[str, Callable[[Result], float | None], str, float, str]] = [
    ("whole scan", lambda r: _x(r, "whole scan"), "<=", 4.0, "F"),
    ("peak memory of the whole scan", lambda r: r["ours"]["whole scan"].get("peak_mb"), "<=", 320.0, "MB"),
    ("times faster than MIRP cropped", lambda r: _times(r, "MIRP cropped", "whole scan"), ">=", 90.0, "x"),
    ("times faster than pyCERR", lambda r: _times(r, "pyCERR run", "whole scan"), ">=", 17.0, "x"),
    ("sparse SEG", lambda r: _x(r, "sparse SEG"), "<=", 1.0, "F"),
    ("full-frame SEG, times faster than highdicom",
     lambda r: _times(r, "highdicom full SEG", "full-frame SEG"), ">=", 3.5, "x"),
    ("RTSTRUCT, times the parsing of it",
     lambda r: 1 / (_times(r, "pydicom parses RTSTRUCT", "RTSTRUCT") or float("nan")), "<=", 5.0, "x"),
    ("SUVpeak of 10 lesions, times faster than convolving",
     lambda r: _times(r, "scipy convolve", "SUVpeak"), ">=", 200.0, "x"),
    ("41 % growing of 10 seeds", lambda r: _x(r, "growing 41 %"), "<=", 1.0, "F"),
    ("scaling, 2 workers against 1 worker process", _rate("scaling"), ">=", 1.6, "x"),
    ("scaling, 2 workers against workers=1 (in process)", _rate("scaling_here"), ">=", 1.6, "x"),
    ("scans a second of CPU, warm", _rate("scans_per_cpu_s"), ">=", 8.0, "/s"),
]  # fmt: skip


def write_report(result: Result) -> str:
    """Return the whole report as Markdown."""
    floors = [found["floor_ms"] for found in result["ours"].values() if "floor_ms" in found]
    floor = statistics.median(floors) if floors else float("nan")
    parts = [
        "# Benchmark of analysis.pet",
        "One scan: 326 slices of 200 x 200, ten lesions of 15-40 mm, liver, aorta. CPU time, one thread, "
        f"warm, medians. F = read all bytes + frombuffer + scale to float32 = {floor:.1f} ms here; each "
        "contender is divided by the F measured in turn with it.",
        _targets(result),
        _stages(result),
        _jobs(result),
        _workers(result),
        _agreement(result),
        _versions(result),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _targets(result: Result) -> str:
    rows = []
    for what, read, relation, target, unit in _TARGETS:
        value = read(result)
        if value is None:
            rows.append([what, f"{relation} {target:g} {unit}", "-", "NOT MEASURED"])
            continue
        met = value <= target if relation == "<=" else value >= target
        rows.append([what, f"{relation} {target:g} {unit}", f"{value:.3g} {unit}", "PASS" if met else "MISS"])
    return "## Targets\n" + _table(["what", "target", "found", ""], rows)


def _stages(result: Result) -> str:
    """Tell where the time of a whole scan goes; each stage was timed alone, the rest is the difference."""
    whole = _x(result, "whole scan")
    parts = {label: _x(result, name) for label, name in _STAGES.items()}
    read, load = _x(result, "read slices"), _x(result, "load_pet")
    if whole is None or load is None or None in parts.values():
        return ""
    parts["SUV chain, geometry, scaling, projection"] = load - read
    parts["rest (rows, rules, totals)"] = whole - sum(parts.values())
    rows = [
        [label, f"{value:.2f}", f"{100 * value / whole:.0f} %"]
        for label, value in sorted(parts.items(), key=lambda item: -item[1])
    ]
    return "## Where the time of a scan goes\n" + _table(["stage", "F", "share"], rows)


def _jobs(result: Result) -> str:
    rows = []
    for job, (ours, peers) in _JOBS.items():
        reference = _x(result, ours[0])
        for module, names in (("ours", ours), ("peers", peers)):
            for name in names:
                if name not in result[module]:
                    continue
                rows.append([job, *_line(result[module][name], name, module, reference)])
                job = ""
    head = ["job", "who", "ms", "F", "x ours", "peak MB"]
    return "## Times\n" + _table(head, rows)


def _line(found: Result, name: str, module: str, reference: float | None) -> list[str]:
    who = f"**{name}**" if module == "ours" else name
    if "error" in found:
        return [who, "failed", "", "", found["error"][:80]]
    times = "" if module == "ours" or not reference else f"{found['x_floor'] / reference:.1f}"
    memory = f"{found['peak_mb']:.0f}" if "peak_mb" in found else ""
    return [who, f"{found['ms']:.1f}", f"{found['x_floor']:.2f}", times, memory]


def _workers(result: Result) -> str:
    found = result.get("fan_out", {})
    if "error" in found or not found:
        return f"## Workers\nnot measured: {found.get('error', '')}"
    rows = [
        [name, f"{found[name]['scans_per_minute']:.0f}", f"{found[name]['cpu_ms_per_scan']:.1f}"]
        for name in ("here", "1 worker", "2 workers")
    ]
    return (
        f"## Workers ({found['scans']} scans, warm)\n"
        + _table(["where", "scans a minute", "CPU ms a scan, all processes"], rows)
        + f"\n\n2 workers against 1: {found['scaling']:.2f}; against here, in this process without a worker: "
        f"{found['scaling_here']:.2f}. CPU ms a scan, unlike the wall clock, is also right on a busy machine."
    )


def _agreement(result: Result) -> str:
    """Compare the values of all regions with each peer's."""
    ours = result["ours"].get("metrics", {}).get("values")
    if not ours:
        return ""
    rows = []
    for peer, read in (("MIRP cropped", dict), ("z-rad run", _from_zrad), ("pyCERR run", dict)):
        theirs = result["peers"].get(peer, {}).get("values")
        if theirs:
            rows.append([peer.split()[0], *_deviations(ours, {name: read(v) for name, v in theirs.items()})])
    return (
        "## Agreement: largest relative difference over ten lesions, liver and aorta\n"
        "One scan, the same voxels; SUVpeak: global (IBSI 0F91), at the maximum (IBSI VJGA).\n\n"
        + _table(["peer", "SUVmax", "SUVmean", "SD", "SUVpeak", "peak at max", "volume"], rows)
    )


def _deviations(ours: Result, theirs: Result) -> list[str]:
    cells = []
    for key in _AGREEMENT:
        found = [
            abs(ours[name][key] / values[key] - 1)
            for name, values in theirs.items()
            if key in values and name in ours
        ]
        cells.append(f"{max(found):.1e}" if len(found) == len(ours) else "-")
    return cells


def _from_zrad(values: Result) -> Result:
    return {
        "suv_max": values["stat_max"],
        "suv_mean": values["stat_mean"],
        "suv_sd": values["stat_var"] ** 0.5,
        "suv_peak": values["loc_peak_glob"],
        "suv_peak_at_max": values["loc_peak_loc"],
    }


def _versions(result: Result) -> str:
    named = {
        "ours": ("numpy", "scipy", "pydicom"),
        "peers": (
            "mirp", "z-rad", "pycerr", "highdicom", "simpleitk", "pydicom", "rt-utils", "pyradiomics",
            "dcm2niix", "connected-components-3d", "scipy", "numpy",
        ),
    }  # fmt: skip
    lines = []
    for module, installed in result.get("versions", {}).items():
        lower = {name.lower().replace("_", "-"): version for name, version in installed.items()}
        lines.append(
            f"{module}: " + ", ".join(f"{name} {lower[name]}" for name in named[module] if name in lower)
        )
    return "## Versions\n" + "\n".join(f"- {line}" for line in lines)
