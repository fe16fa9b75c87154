"""Contracts of the tables PET quantification writes and reads."""

from __future__ import annotations

import pandera.pandas as pa

from analysis.contracts.fields import SUBJECT, YN, date, number, table, text

PET_CONTRACTS: dict[str, pa.DataFrameSchema] = {
    "scan_qc": table(
        "a PET scan found, refused ones included",
        {
            "STUDYID": text("study", nullable=False),
            "USUBJID": text("subject; missing where the scan could not be given to one"),
            "AVISIT": text("visit"),
            "ADT": date("date of the scan"),
            "SITEID": text("centre"),
            "VENDOR": text("maker of the scanner"),
            "MODEL": text("scanner model"),
            "UNITS": text("Units (0054,1001)"),
            "DECAYCORR": text("Decay Correction (0054,1102)"),
            "STATUS": text("measured or refused", nullable=False, isin=["OK", "REFUSED"]),
            "CODE": text("refusal code"),
            "MESSAGE": text("refusal in words"),
            "ADAPTATIONS": text("named reinterpretations of the header"),
            "FLAGS": text("what a reader should look at"),
            "UPTAKEMIN": number("uptake time, min: injection to the decay reference"),
            "UPTAKEACQ": number("uptake time, min: injection to the earliest acquisition"),
            "DOSEMBQ": number("injected activity, MBq"),
            "WEIGHTKG": number("body weight, kg"),
            "HEIGHTM": number("body height, m"),
            "GLUCOSE": number("blood glucose, mmol/l"),
            "NSLICES": number("slices"),
            "VOXELML": number("voxel volume, ml"),
            "LIVERMEAN": number("liver SUVmean (bw), g/ml"),
            "LIVERSD": number("liver SUV SD (bw), g/ml"),
            "PATH": text("folder under the raw folder", nullable=False),
        },
        ["PATH"],
    ),
    "reference_proposals": table(
        "the liver or aorta of a measured scan: drawn, decided by a reader, or proposed",
        {
            "USUBJID": text("subject", nullable=False),
            "AVISIT": text("visit", nullable=False),
            "REGION": text("region", nullable=False, isin=["LIVER", "AORTA"]),
            **{axis: number(f"centre along {axis.lower()}, mm (DICOM patient, LPS)") for axis in "XYZ"},
            "SUVMEAN": number("SUVmean (bw), g/ml"),
            "SUVSD": number("SUV SD (bw, ddof 0), g/ml"),
            "CV": number("SD over mean"),
            "N_VOXELS": number("voxels"),
            "FLAGS": text("what a reader should look at; why none was found"),
            "STATUS": text(
                "GIVEN was drawn; PROPOSED awaits a reader, used only if the plan says so; ACCEPTED and "
                "MOVED are used, REJECTED and NOT_FOUND are not",
                nullable=False,
                isin=["GIVEN", "PROPOSED", "ACCEPTED", "MOVED", "REJECTED", "NOT_FOUND"],
            ),
            "READER": text("who decided"),
            "DECIDEDDT": date("when"),
        },
        ["USUBJID", "AVISIT", "REGION"],
    ),
    "adpet": table(
        "a measured quantity of a lesion or region on a scan",
        {
            **SUBJECT,
            "AVISIT": text("visit", nullable=False),
            "LESIONID": text("lesion, LIVER, AORTA or TOTAL", nullable=False),
            "METRIC": text(
                "SUVMAX SUVMEAN SUVMED SUVSD; SUVPEAK by voxel centres, SUVPEAK2 by exact overlap, SUVPEAK3 "
                "about the maximum; the same as SUL; VOLUME TLG of the region as drawn, VOLSRC on the grid "
                "it was drawn on; MTV and TLG with 41 50 (% of SUVmax), 25F 40F (SUV 2.5, 4.0), P (PERCIST); "
                "totals NLESION, TMTV and TTLG alike",
                nullable=False,
            ),
            "ROLE": text("role", nullable=False, isin=["LESION", "LIVER", "AORTA", "TOTAL"]),
            "ORGAN": text("organ"),
            "ADT": date("date of the scan"),
            "AVAL": number("value, in UNIT"),
            "UNIT": text("g/ml, ml, g or 1", nullable=False),
            "EVALFL": text("FDG-evaluable at baseline", isin=YN),
            "TARGETFL": text("among the targets", isin=YN),
            "FLAGS": text("what a reader should look at"),
        },
        ["USUBJID", "AVISIT", "LESIONID", "METRIC"],
    ),
    "admr": table(
        "metabolic response of a subject at a visit under one metric, rule and cut",
        {
            **SUBJECT,
            "AVISIT": text("follow-up visit", nullable=False),
            "METRIC": text("quantity the rule reads", nullable=False),
            "RULE": text("rule of the plan", nullable=False),
            "CUT": number("cut, percent fall", nullable=False),
            "AVALC": text("class in the rule's own words", nullable=False),
            "MRESP": text("two classes", nullable=False, isin=["RESPONDER", "NON-RESPONDER", "NE"]),
            "SCORE": number("continuous companion: ln(follow-up / baseline)"),
            "NLESION": number("lesions the rule read"),
            "PETDT": date("date of this visit's scan"),
            "NEREAS": text("why NE"),
            "ONBOUND": text("within the boundary tolerance of a cut", isin=YN),
        },
        ["USUBJID", "AVISIT", "METRIC", "RULE", "CUT"],
    ),
    "reader_decisions": table(
        "a decision of a reader on a lesion at a visit",
        {
            "USUBJID": text("subject", nullable=False),
            "AVISIT": text("visit", nullable=False),
            "LESIONID": text("lesion", nullable=False),
            "DECISION": text("new, inflammatory, resolved or not_evaluable", nullable=False),
            "READER": text("reader"),
        },
        ["USUBJID", "AVISIT", "LESIONID", "READER"],
    ),
    "mips": table(
        "a coronal maximum-intensity projection, for figures",
        {
            "USUBJID": text("subject", nullable=False),
            "AVISIT": text("visit", nullable=False),
            "ROWS": number("image rows", nullable=False),
            "COLUMNS": number("image columns", nullable=False),
            "PIXELS": pa.Column(object, description="grey values, 0-255, row by row"),
        },
        ["USUBJID", "AVISIT"],
    ),
}
