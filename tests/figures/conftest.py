"""Small hand-made frames for the figures, and a check that a reader can read what is drawn."""

import io
import itertools

import numpy as np
import pandas as pd
import pytest


def make_curves(times, events, group):
    """Product-limit estimate in plain Python, with a plain Greenwood interval: not the code under test."""
    survival, greenwood, rows = 1.0, 0.0, []
    for time in sorted(set(times)):
        at_risk = sum(t >= time for t in times)
        died = sum(t == time and e for t, e in zip(times, events))
        censored = sum(t == time and not e for t, e in zip(times, events))
        survival *= 1 - died / at_risk
        greenwood += died / (at_risk * (at_risk - died)) if at_risk > died else 0
        half = 1.96 * survival * greenwood**0.5
        rows.append(
            (group, time, survival, max(survival - half, 0), min(survival + half, 1), at_risk, died, censored)
        )
    return pd.DataFrame(
        rows, columns=["GROUP", "TIME", "SURVIVAL", "LOWER", "UPPER", "AT_RISK", "EVENTS", "CENSORED"]
    )


def demo_curves():
    responder = [1.9, 2.8, 3.7, 3.7, 5.6, 5.6, 5.8, 7.4, 7.5, 9.2, 9.3, 11.1, 13.0, 14.8, 16.6]
    resistant = [
        0.9,
        1.0,
        1.3,
        1.8,
        1.8,
        1.9,
        2.1,
        2.7,
        2.8,
        2.8,
        3.1,
        3.6,
        3.7,
        3.7,
        3.8,
        4.5,
        5.5,
        5.6,
        5.6,
        6.4,
    ]
    resistant += [7.4, 7.5, 8.3, 9.2, 9.4, 10.0, 11.2, 12.9, 13.1, 14.7]
    first = make_curves(responder, [t not in (5.8, 9.3, 14.8, 16.6) for t in responder], "RESPONDER")
    second = make_curves(resistant, [t not in (2.1, 6.4, 10.0, 14.7) for t in resistant], "NON-RESPONDER")
    return pd.concat([first, second], ignore_index=True)


def demo_changes():
    change = [
        212,
        64,
        41,
        30,
        22,
        18,
        12,
        9,
        5,
        3,
        0,
        -2,
        -4,
        -7,
        -9,
        -11,
        -14,
        -16,
        -18,
        -19,
        -21,
        -22,
        -24.9,
    ]
    change += [-25, -27, -29, -31, -34, -38, -41, -44, -48, -52, -57, -60, -63, -70, -82]
    frame = pd.DataFrame({"CHANGE": [float(value) for value in change]})
    frame["NEWLESION"] = ["Y" if value in (18, -44) else "N" for value in change]
    resistant = (frame["CHANGE"] > -25) | frame["NEWLESION"].eq("Y")
    frame["AVALC"] = np.where(resistant, "NON-RESPONDER", "RESPONDER")
    missing = pd.DataFrame(
        {"CHANGE": [np.nan] * 3, "NEWLESION": ["N", "N", "Y"], "AVALC": ["NE", "NE", "NON-RESPONDER"]}
    )
    return pd.concat([frame, missing], ignore_index=True)


def demo_estimates():
    rows = [
        ("PRIMARY", "PFS, any resistant lesion, 25 %, day 14", 1.30, 0.67, 2.50, 0.44, 45, 38),
        ("SECONDARY", "OS, any resistant lesion, 25 %, day 14", 1.9, 0.61, 9.8, 0.26, 45, 12),
        ("SENSITIVITY", "Cut 15 % (post hoc)", 2.05, 1.02, 4.15, 0.043, 45, 38),
        ("SENSITIVITY", "Cut 40 %", 1.1, 0.5, 2.4, 0.81, 45, 38),
        (
            "SENSITIVITY",
            "Adjusted for ln(lesion count), visceral disease and baseline ln SUVmax of the hottest lesion",
            1.21,
            0.6,
            2.44,
            0.59,
            44,
            37,
        ),
        ("SENSITIVITY", "Per-protocol scans only", np.nan, np.nan, np.nan, np.nan, 6, 2),
        ("EXPLORATORY", "ctDNA at day 14, detected", 2.50, 1.30, 5.00, 0.0061, 46, 39),
        ("EXPLORATORY", "ESR1 mutated", 24.0, 2.9, np.inf, 0.0003, 31, 26),
    ]
    frame = pd.DataFrame(rows, columns=["ROLE", "LABEL", "ESTIMATE", "LOWER", "UPPER", "P", "N", "EVENTS"])
    return frame.assign(
        ENDPOINT="PFS", METHOD="cox", ESTIMATOR="ml", CONTRAST="NON-RESPONDER", REFERENCE="RESPONDER"
    )


def demo_grid():
    cells = [
        (day, metric, rule, cut)
        for day in ("D14", "D28")
        for metric in ("SUVMAX", "SULPEAK")
        for rule in ("any_resistant", "suvmax_hottest", "suvmax_sum")
        for cut in (15.0, 25.0, 40.0)
    ]
    frame = pd.DataFrame(cells, columns=["TIMEPOINT", "METRIC", "RULE", "CUT"])
    log_hr = 0.35 + 0.5 * np.sin(2.1 * np.arange(len(frame)))
    frame = frame.assign(ESTIMATE=np.exp(log_hr), LOWER=np.exp(log_hr - 0.66), UPPER=np.exp(log_hr + 0.66))
    frame["POSTHOC"] = np.where(frame["CUT"] == 15, "Y", "N")
    frame["ROLE"] = [
        "PRIMARY" if cell == ("D14", "SUVMAX", "any_resistant", 25.0) else "SENSITIVITY" for cell in cells
    ]
    frame["RANK"] = frame["ESTIMATE"].rank(method="first")
    middle = (frame["RANK"] - 18.5) / 40
    frame = frame.assign(NULL_LOWER=np.exp(middle - 0.6), NULL_UPPER=np.exp(middle + 0.6))
    same = {"POPULATION": "all_scans", "LANDMARK": "scan", "CENSORING": "PFS", "STATUS": "ESTIMATED"}
    number = np.arange(1.0, len(frame) + 1)
    return frame.assign(ENDPOINT="PFS", **same, SPECIFICATION=number, NULL_MEDIAN=np.exp(middle))


def demo_flow():
    stages = pd.DataFrame(
        [
            ("Registered", 52),
            ("Treated", 48),
            ("Baseline and early PET/CT measured", 43),
            ("Event-free and followed at the landmark: analysed for PFS", 41),
        ],
        columns=["STAGE", "N"],
    )
    excluded = pd.DataFrame(
        [
            ("Registered", "Never treated", 4),
            ("Treated", "No FDG-evaluable lesion at baseline (all lesions below 1.5 times liver)", 2),
            ("Treated", "Early scan missing", 2),
            ("Treated", "Scan refused: no body weight in the header", 1),
            ("Baseline and early PET/CT measured", "Progression before the early PET", 2),
        ],
        columns=["STAGE", "REASON", "N"],
    )
    split = pd.DataFrame(
        [("Metabolic responder", 14), ("Metabolic non-responder", 27)], columns=["GROUP", "N"]
    )
    return stages, excluded, split


def demo_two_days():
    d14 = np.array(
        [30, 12, 5, -3, -8, -12, -15, -18, -21, -24, -26, -29, -33, -37, -42, -47, -55, -61, 2, -20.0]
    )
    shift = np.array([14, -6, 9, -12, 3, -16, 4, -9, 11, -8, -14, 6, -5, 9, -11, 3, -4, 5, np.nan, -2])
    return pd.DataFrame({"USUBJID": [f"S{i:02d}" for i in range(20)], "D14": d14, "D28": d14 + shift})


def demo_courses():
    wide = demo_two_days()
    wide["MRESP"] = np.where(wide["D14"] <= -25, "RESPONDER", "NON-RESPONDER")
    long = wide.melt(["USUBJID", "MRESP"], ["D14", "D28"], var_name="AVISIT", value_name="CHANGE")
    summary = long.groupby(["MRESP", "AVISIT"], as_index=False)["CHANGE"].median()
    return long, summary


def demo_mips():
    rows, columns = 190, 100
    y, x = np.mgrid[:rows, :columns]

    def blob(cy, cx, ry, rx, peak):
        return peak * np.exp(-((((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2) ** 2))

    body = (
        blob(100, 50, 95, 32, 25)
        + blob(18, 50, 13, 12, 230)
        + blob(88, 38, 15, 17, 65)
        + blob(165, 50, 8, 9, 240)
    )
    lesions = [blob(70, 62, 4, 4, 200), blob(120, 44, 5, 5, 230), blob(58, 36, 3, 3, 150)]
    frames = []
    for subject, falls in (("S01", {"D0": 1, "D14": 0.35, "D28": 0.2}), ("S02", {"D0": 1, "D14": 1.05})):
        for visit, factor in falls.items():
            image = np.clip(body + factor * sum(lesions), 0, 255).astype(np.uint8)
            labels = np.zeros((rows, columns), np.uint8)
            labels[64:77, 56:69], labels[113:128, 37:52], labels[80:86, 30:36] = 1, 2, 3
            frame = (
                subject,
                visit,
                "CORONAL",
                rows,
                columns,
                4.0,
                image.ravel(),
                labels.ravel(),
                "L1;L2;LIVER",
            )
            frames.append(frame)
    names = ["USUBJID", "AVISIT", "VIEW", "ROWS", "COLUMNS", "PIXELMM", "PIXELS", "LABELS", "LABELNAMES"]
    return pd.DataFrame(frames, columns=names)


def demo_scan_qc():
    uptake = [
        58,
        61,
        63,
        60,
        59,
        65,
        72,
        66,
        57,
        62,
        60,
        64,
        69,
        91,
        61,
        60,
        58,
        63,
        66,
        70,
        62,
        59,
        61,
        np.nan,
    ]
    liver = [
        2.1,
        2.3,
        1.9,
        2.2,
        2.0,
        2.4,
        1.8,
        2.2,
        2.3,
        2.1,
        2.5,
        2.0,
        2.2,
        2.9,
        2.1,
        2.3,
        2.0,
        2.2,
        1.9,
        2.4,
        2.1,
        np.nan,
    ]
    frame = pd.DataFrame({"UPTAKEMIN": uptake, "LIVERMEAN": [*liver, np.nan, np.nan]})
    frame["AVISIT"] = ["D0"] * 10 + ["D14"] * 9 + ["D28"] * 5
    frame["VENDOR"] = (["SIEMENS", "GE", "SIEMENS", "PHILIPS"] * 6)[:24]
    frame["STATUS"] = ["OK"] * 21 + ["REFUSED"] * 3
    return frame


def visible_texts(figure):
    """Every piece of text that is drawn, with its box in pixels."""
    figure.savefig(io.BytesIO(), format="png")
    found = [*figure.texts]
    for legend in [*figure.legends, *[axes.get_legend() for axes in figure.axes]]:
        found += legend.get_texts() if legend else []
    for axes in figure.axes:
        found += axes.texts
        if axes.axison:
            found += [axes.title, axes._left_title, axes._right_title, axes.xaxis.label, axes.yaxis.label]
            for axis in (axes.xaxis, axes.yaxis):
                low, high = sorted(axis.get_view_interval())
                ticks = zip(axis.get_majorticklocs(), axis.get_majorticklabels())
                found += [label for place, label in ticks if low - 1e-9 <= place <= high + 1e-9]
    drawn = [text for text in found if text.get_visible() and text.get_text().strip()]
    return [(text.get_text(), text.get_window_extent(), text.get_fontsize()) for text in drawn]


@pytest.fixture
def check_readable():
    """Return a check: no text is cut off, covers another, or is smaller than 6 pt."""

    def check(figure):
        texts = visible_texts(figure)
        assert texts
        frame = figure.bbox
        for text, box, size in texts:
            inside = box.x0 >= -1 and box.y0 >= -1 and box.x1 <= frame.x1 + 1 and box.y1 <= frame.y1 + 1
            assert inside, f"{text!r} is cut off"
            assert size >= 6, f"{text!r} is set in {size} pt"
        for (one, a, _), (two, b, _) in itertools.combinations(texts, 2):
            wide, tall = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
            assert min(wide, tall) <= 2, f"{one!r} and {two!r} overlap"

    return check


@pytest.fixture
def demo():
    """Return the makers of the hand-made frames by name."""
    return {
        "curves": demo_curves,
        "changes": demo_changes,
        "estimates": demo_estimates,
        "grid": demo_grid,
        "flow": demo_flow,
        "two_days": demo_two_days,
        "courses": demo_courses,
        "mips": demo_mips,
        "scan_qc": demo_scan_qc,
    }
