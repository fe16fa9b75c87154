"""Contracts of the tables the clinical derivations write, and of the populations drawn from them."""

from __future__ import annotations

import pandera.pandas as pa

from analysis.contracts.fields import SUBJECT, YN, date, number, table, text

_ADTTE = {
    **SUBJECT,
    "PARAMCD": text("endpoint", nullable=False, title="Parameter Code"),
    "PARAM": text("endpoint in words", nullable=False, title="Parameter"),
    "STARTDT": date(
        "time zero; missing where a study gives days only", title="Time-to-Event Origin Date for Subject"
    ),
    "ADT": date("date of event or censoring; missing where a study gives days only", title="Analysis Date"),
    "AVAL": number("time from STARTDT, days", nullable=False, title="Analysis Value"),
    "AVALM": number(
        "time from STARTDT, months of 30.4375 days",
        nullable=False,
        title="Analysis Value (Months of 30.4375 Days)",
    ),
    "CNSR": pa.Column(
        int, pa.Check.ge(0), coerce=True, description="0 = event, 1 or more = censored", title="Censor"
    ),
    "EVNTDESC": text(
        "what the event was, or the state when censored", title="Event or Censoring Description"
    ),
    "CNSDTDSC": text(
        "why the follow-up ends where it does; missing for an event", title="Censor Date Description"
    ),
    "SRCDOM": text("domain of the source record", title="Source Data"),
    "SRCVAR": text("variable of the source record", title="Source Variable"),
    "SRCSEQ": number("sequence number of the source record", title="Source Sequence Number"),
}

_DEVIATION = {
    **SUBJECT,
    "DEVSEQ": number("number of the deviation within its subject", nullable=False),
    "DVCAT": text(
        "category: SCAN, TREATMENT, ASSESSMENT, ELIGIBILITY, FOLLOW_UP or RECORDED", nullable=False
    ),
    "CODE": text("rule of clinical.deviation_rules; a code of the study itself in DVDECOD", nullable=False),
    "DVDECOD": text("code the study recorded (domain DV); NOT CODED where it is free text"),
    "AVISIT": text("visit of the scan, or week of the planned assessment (W8)"),
    "AVAL": number("days off the window, or the value that is off its limit"),
    "UNIT": text("of AVAL: days early, days late, days, or the unit of the value"),
    "LIMIT": text("window or limit in words"),
    "GRADE": text("important or minor", nullable=False, isin=["important", "minor"]),
    "IMPACT": text("code of the ledger where the deviation leaves the subject out of an analysis"),
    "SOURCE": text("tables or domains it was found in", nullable=False),
}
_DEVIATION_RULE = {
    "CODE": text("rule of clinical.deviation_rules", nullable=False),
    "DVCAT": text("category", nullable=False),
    "GRADE": text("important or minor", nullable=False, isin=["important", "minor"]),
    "STATUS": text(
        "LOOKED (the records can tell) or UNKNOWN (they cannot)", nullable=False, isin=["LOOKED", "UNKNOWN"]
    ),
    "N": number("treated subjects whose records can tell", nullable=False),
    "FOUND": number("deviations found", nullable=False),
    "REASON": text("why it cannot be known"),
}

CLINICAL_CONTRACTS: dict[str, pa.DataFrameSchema] = {
    "adsl": table(
        "a subject",
        {
            **SUBJECT,
            "SITEID": text("centre", title="Study Site Identifier"),
            "AGE": number("age, years", title="Age"),
            "SEX": text("sex", isin=["F", "M", "U"], title="Sex"),
            "PILOTFL": text("in the pilot phase", isin=YN, title="Pilot Phase Flag"),
            "ENRLDT": date("registration", title="Date of Enrollment"),
            "TRTSDT": date("first dose", title="Date of First Exposure to Treatment"),
            "TRTEDT": date("last dose", title="Date of Last Exposure to Treatment"),
            "DTHDT": date("death", title="Date of Death"),
            "DTHFL": text("died", isin=YN, title="Subject Death Flag"),
            "LSTALVDT": date("last date known alive", title="Date Last Known Alive"),
            "DCUTDT": date("data cut-off", title="Date of Data Cut-Off"),
            "NACTDT": date(
                "start of a new anti-cancer therapy", title="Start Date of New Anti-Cancer Therapy"
            ),
            "ECOG": number("ECOG performance status", title="ECOG Performance Status"),
            "BONEONLY": text("bone-only disease", isin=YN, title="Bone-Only Disease Flag"),
            "VISCFL": text("visceral disease", isin=YN, title="Visceral Disease Flag"),
            "PRIORCHM": text(
                "prior chemotherapy in the advanced setting",
                isin=YN,
                title="Prior Chemotherapy, Advanced Setting",
            ),
            "ENDOSENS": text(
                "sensitive to prior endocrine therapy", isin=YN, title="Sensitive to Prior Endocrine Therapy"
            ),
            "SAFFL": text("treated", isin=YN, title="Safety Population Flag"),
        },
        ["USUBJID"],
        title="Subject-Level Analysis Dataset",
    ),
    "adtr": table(
        "a lesion at an assessment",
        {
            **SUBJECT,
            "ADT": date("date of the assessment", title="Analysis Date"),
            "AVISITN": number("number of the assessment, 0 = baseline", title="Analysis Visit (N)"),
            "LESIONID": text("lesion", nullable=False, title="Lesion Identifier"),
            "ORGAN": text("organ", title="Organ of the Lesion"),
            "LESTYPE": text(
                "role under RECIST 1.1",
                nullable=False,
                isin=["TARGET", "NON-TARGET", "NEW"],
                title="Role of the Lesion under RECIST 1.1",
            ),
            "DIAM_MM": number("diameter, mm (nodes: short axis)", title="Diameter (mm; Nodes: Short Axis)"),
            "STATE": text("state of a non-target or new lesion", title="State of a Non-Target or New Lesion"),
        },
        None,
        title="Tumor Measurements Analysis Dataset",
    ),
    "adrs": table(
        "a response of a subject at an assessment, derived or reported",
        {
            **SUBJECT,
            "ASEQ": number(
                "number of the row within its subject; SRCSEQ of adtte", title="Analysis Sequence Number"
            ),
            "ADT": date("date of the assessment", title="Analysis Date"),
            "PARAMCD": text(
                "OVRLRESP derived overall, RSREP reported overall, TRGRESP, NTRGRESP, NEWLES, BOR, CBOR",
                nullable=False,
                title="Parameter Code",
            ),
            "AVALC": text("response", title="Analysis Value (C)"),
            "SUMDIAM": number("sum of target diameters, mm", title="Sum of Target Diameters (mm)"),
            "NADIR": number("smallest sum so far, baseline included, mm", title="Smallest Sum So Far (mm)"),
        },
        None,
        title="Tumor Response Analysis Dataset",
    ),
    "response_rates": table(
        "a response rate in a population",
        {
            "PARAMCD": text("ORR, CORR (confirmed), DCR or CBR", nullable=False),
            "PARAM": text("rate in words", nullable=False),
            "SOURCE": text("derived or reported response", nullable=False),
            "POPULATION": text("TREATED, MEASURABLE or EVALUABLE", nullable=False),
            "N_RESPONSE": number("subjects with the response", nullable=False),
            "N": number("subjects of the population", nullable=False),
            "ESTIMATE": number("proportion, 0-1"),
            "LOWER": number("lower limit"),
            "UPPER": number("upper limit"),
            "LEVEL": number("level of the interval, 0-1", nullable=False),
            "METHOD": text("interval: clopper_pearson", nullable=False),
        },
        ["PARAMCD", "SOURCE", "POPULATION"],
    ),
    "deviations_01": table(
        "a protocol deviation found in the clinical records", _DEVIATION, ["USUBJID", "DEVSEQ"]
    ),
    "deviation_rules_01": table("a rule that clinical records answer, or cannot", _DEVIATION_RULE, ["CODE"]),
    "protocol_deviations": table(
        "a protocol deviation of a treated subject, each listed once", _DEVIATION, ["USUBJID", "DEVSEQ"]
    ),
    "deviation_rules": table("a rule for protocol deviations, answered or not", _DEVIATION_RULE, ["CODE"]),
    "corrections": table(
        "a corrected value of a raw table (audit trail)",
        {
            "DOMAIN": text("domain", nullable=False),
            "KEY": text("record, as the corrections file names it", nullable=False),
            "USUBJID": text("subject", nullable=False),
            "VARIABLE": text("variable", nullable=False),
            "OLD": text("value before; missing where there was none"),
            "NEW": text("value after; missing where it was removed"),
            "REASON": text("why", nullable=False),
            "WHO": text("who decided", nullable=False),
            "WHEN": text("date of the decision, ISO 8601", nullable=False),
        },
        ["DOMAIN", "KEY", "VARIABLE"],
    ),
    "populations": table(
        "a subject and population",
        {
            **SUBJECT,
            "POPULATION": text("population", nullable=False),
            "INFL": text("in it", nullable=False, isin=YN),
            "STEP": text("notebook that left the subject out"),
            "CODE": text("reason outside, as a code"),
            "REASON": text("reason outside, in words"),
        },
        ["USUBJID", "POPULATION"],
    ),
    "adtte": table(
        "a subject and endpoint",
        _ADTTE,
        ["USUBJID", "PARAMCD"],
        title="Time-to-Event Analysis Dataset",
    ),
    "adtte_sensitivity": table(
        "a subject and endpoint under one flipped rule", _ADTTE, ["USUBJID", "PARAMCD"]
    ),
}
