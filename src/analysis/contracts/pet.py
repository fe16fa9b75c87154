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
            "FASTING": text("fasting as asked before the injection", isin=YN),
            "OFFDRUG7": number("days without drug in the seven days before the scan"),
            "NSLICES": number("slices"),
            "VOXELML": number("voxel volume, ml"),
            "LIVERMEAN": number("liver SUVmean (bw), g/ml"),
            "LIVERSD": number("liver SUV SD (bw), g/ml"),
            "SOFTWARE": text("software version of the scanner"),
            "RECON": text("reconstruction method (0054,1103)"),
            "KERNEL": text("convolution kernel or filter (0018,1210)"),
            "PSF": text("resolution modelling named in the reconstruction", isin=YN),
            "TOF": text("time of flight named in the reconstruction", isin=YN),
            "MATRIX": text("rows x columns"),
            "VOXELX": number("voxel size along a row, mm"),
            "VOXELY": number("voxel size along a column, mm"),
            "VOXELZ": number("distance of slices, mm"),
            "TREFRULE": text("rule that gave the decay reference"),
            "TREFSPREAD": number("spread of the decay reference over the slices, s"),
            "TREFDIFF": number("largest distance of the candidates for the decay reference, s"),
            "HARMON": text("harmonisation state of the scanner: an EARL standard, EQPET, or UNKNOWN"),
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
            "AVISIT": text("visit", nullable=False, title="Analysis Visit"),
            "LESIONID": text("lesion, LIVER, AORTA or TOTAL", nullable=False, title="Lesion Identifier"),
            "METRIC": text(
                "SUVMAX SUVMEAN SUVMED SUVSD; SUVPEAK by voxel centres, SUVPEAK2 by exact overlap, SUVPEAK3 "
                "about the maximum; the same as SUL; VOLUME TLG of the region as drawn, VOLSRC on the grid "
                "it was drawn on; MTV and TLG with 41 50 (% of SUVmax), 25F 40F (SUV 2.5, 4.0), P (PERCIST); "
                "totals NLESION, TMTV and TTLG alike; SUVMAXG and SUVPEAKG corrected for glucose; TLRMAX and "
                "TLRPEAK over the liver's mean; SUVBKG the mean where a lesion was at baseline and is gone",
                nullable=False,
                title="Measured Quantity",
            ),
            "ROLE": text(
                "role", nullable=False, isin=["LESION", "LIVER", "AORTA", "TOTAL"], title="Role of the Region"
            ),
            "ORGAN": text("organ", title="Organ of the Lesion"),
            "ADT": date("date of the scan", title="Analysis Date"),
            "AVAL": number("value, in UNIT", title="Analysis Value"),
            "UNIT": text("g/ml, ml, g or 1", nullable=False, title="Unit of the Analysis Value"),
            "EVALFL": text("FDG-evaluable at baseline", isin=YN, title="FDG-Evaluable at Baseline Flag"),
            "TARGETFL": text("among the targets", isin=YN, title="Target Lesion Flag"),
            "FLAGS": text("what a reader should look at", title="What a Reader Should Look At"),
        },
        ["USUBJID", "AVISIT", "LESIONID", "METRIC"],
        title="PET Measurements Analysis Dataset",
    ),
    "admr": table(
        "metabolic response of a subject at a visit under one metric, rule and cut",
        {
            **SUBJECT,
            "AVISIT": text("follow-up visit", nullable=False, title="Analysis Visit"),
            "METRIC": text("quantity the rule reads", nullable=False, title="Quantity the Rule Reads"),
            "RULE": text("rule of the plan", nullable=False, title="Response Rule of the Plan"),
            "CUT": number("cut, percent fall", nullable=False, title="Cut (Percent Fall)"),
            "AVALC": text("class in the rule's own words", nullable=False, title="Analysis Value (C)"),
            "MRESP": text(
                "two classes",
                nullable=False,
                isin=["RESPONDER", "NON-RESPONDER", "NE"],
                title="Metabolic Response (Two Classes)",
            ),
            "SCORE": number(
                "continuous companion: ln(follow-up / baseline)", title="Ln(Follow-Up / Baseline)"
            ),
            "NLESION": number("lesions the rule read", title="Number of Lesions the Rule Read"),
            "PETDT": date("date of this visit's scan", title="Date of the PET Scan"),
            "NEREAS": text("why NE", title="Reason Not Evaluable"),
            "ONBOUND": text(
                "within the boundary tolerance of a cut", isin=YN, title="Within Boundary Tolerance of a Cut"
            ),
            "DECIDED": text(
                "row of the decision table that decided",
                nullable=False,
                title="Deciding Row of the Decision Table",
            ),
            "COMPARE": text("verdict on the pair of scans", title="Verdict on the Pair of Scans"),
            "PPFL": text(
                "per protocol: both scans comparable and in their visit windows",
                isin=YN,
                title="Per-Protocol Population Flag",
            ),
            "FLAGS": text("what a reader should look at", title="What a Reader Should Look At"),
        },
        ["USUBJID", "AVISIT", "METRIC", "RULE", "CUT"],
        title="Metabolic Response Analysis Dataset",
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
    "adlesion": table(
        "change of a baseline lesion at a follow-up visit under one metric",
        {
            **SUBJECT,
            "AVISIT": text("follow-up visit", nullable=False),
            "LESIONID": text("lesion", nullable=False),
            "METRIC": text("quantity", nullable=False),
            "ORGAN": text("organ"),
            "BASE": number("baseline value, in UNIT"),
            "AVAL": number("follow-up value, in UNIT"),
            "UNIT": text("unit", nullable=False),
            "PCHG": number("change, percent of baseline"),
            "LNRATIO": number("ln(follow-up / baseline)"),
            "DTYPE": text("how a value that was not measured came about: PROPAGATED, AORTA, LIVER"),
            "REPEAT": text("against the repeatability limits of one lesion", isin=["WITHIN", "FALL", "RISE"]),
            "STATUS": text(
                "MEASURED, RESOLVED, NOT_EVALUABLE, MISSING; NEW, NEW_UNCONFIRMED, INFLAMMATORY without a "
                "baseline value",
                nullable=False,
            ),
            "EVALFL": text("FDG-evaluable at baseline", isin=YN),
            "TARGETFL": text("among the targets", isin=YN),
        },
        ["USUBJID", "AVISIT", "LESIONID", "METRIC"],
    ),
    "comparability": table(
        "one check of the baseline scan against a follow-up scan",
        {
            "USUBJID": text("subject", nullable=False),
            "AVISIT": text("follow-up visit", nullable=False),
            "CHECK": text("what is compared", nullable=False),
            "BASEC": text("at baseline, as text"),
            "AVALC": text("at follow-up, as text"),
            "DIFF": number("difference, in the unit of the limit"),
            "LIMIT": text("what is allowed, in words"),
            "RESULT": text("outcome", nullable=False, isin=["PASS", "FAIL", "UNKNOWN"]),
            "IMPACT": text("what a failure means", nullable=False, isin=["BLOCKING", "WARNING"]),
            "VERDICT": text(
                "verdict on the pair, the same on all its rows",
                nullable=False,
                isin=["ASSESSABLE", "ASSESSABLE_WITH_WARNINGS", "NOT_ASSESSABLE", "INSUFFICIENT_INFORMATION"],
            ),
        },
        ["USUBJID", "AVISIT", "CHECK"],
    ),
    "lesion_map": table(
        "a lesion region as it was drawn on a scan, and the lesion it belongs to",
        {
            "USUBJID": text("subject", nullable=False),
            "AVISIT": text("visit", nullable=False),
            "DRAWNID": text("name it was drawn under", nullable=False),
            "LESIONID": text("lesion it is measured as", nullable=False),
            "STATUS": text(
                "BASELINE, SAME, SPLIT (one of several), MERGED (of several), NEW", nullable=False
            ),
            "SOURCE": text("who says so", nullable=False, isin=["NAME", "READER", "PROPOSED"]),
            "DICE": number("overlap with the baseline lesion after registration, 0-1"),
            "DISTANCEMM": number("distance of the centres after registration, mm"),
            "FLAGS": text("what a reader should look at"),
        },
        ["USUBJID", "AVISIT", "DRAWNID"],
    ),
    "deid_audit": table(
        "damage or residue that de-identification left in the images",
        {
            "USUBJID": text("subject; missing for a finding about all"),
            "AVISIT": text("visit"),
            "PATH": text("folder under the raw folder; empty for a finding about a subject or the study"),
            "CODE": text("finding", nullable=False),
            "SEVERITY": text("severity", nullable=False, isin=["error", "warning", "info"]),
            "MESSAGE": text("finding in words, without the value", nullable=False),
            "ACTION": text("what to do", nullable=False),
        },
        None,
    ),
    "exports": table(
        "a DICOM object written for exchange",
        {
            "USUBJID": text("subject", nullable=False),
            "AVISIT": text("visit", nullable=False),
            "KIND": text("object", nullable=False, isin=["SEG", "SR", "RWV"]),
            "PATH": text("file under the derived folder; empty where none was written"),
            "SHA256": text("digest of the file"),
            "CODE": text("why none was written"),
            "MESSAGE": text("the same in words"),
        },
        ["USUBJID", "AVISIT", "KIND"],
    ),
    "mips": table(
        "a maximum-intensity projection, for figures",
        {
            "USUBJID": text("subject", nullable=False),
            "AVISIT": text("visit", nullable=False),
            "VIEW": text("direction of view", nullable=False, isin=["CORONAL", "SAGITTAL"]),
            "ROWS": number("image rows", nullable=False),
            "COLUMNS": number("image columns", nullable=False),
            "PIXELMM": number("side of a pixel, mm", nullable=False),
            "PIXELS": pa.Column(object, description="grey values, 0-255, row by row; head first"),
            "LABELS": pa.Column(
                object,
                description="place in LABELNAMES of the region seen at each pixel, counted from 1; 0 none",
            ),
            "LABELNAMES": text("LESIONID, LIVER or AORTA, joined by ;"),
        },
        ["USUBJID", "AVISIT", "VIEW"],
    ),
}
