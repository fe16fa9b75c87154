"""Coded concepts of exported measurements: what a METRIC, a body size and a threshold are called in DICOM.

Codes are those of PS3.16 as pet.md 4.3 lists them. What no standard scheme names has a code of the private
scheme `SCHEME`: the threshold a volume was measured at (``MTV41``, ``MTV25F``, ``MTVP`` ...: the METRIC whose
voxels count) and the classes of metabolic response (``<RULE>.<METRIC>.<CUT>`` with the rule's own words).
"""

from __future__ import annotations

from typing import NamedTuple

from pydicom.sr.coding import Code

SCHEME = "99PEARL"
SCHEME_NAME = "PEARL compendium: thresholds of volumes, and classes of metabolic response"

MAXIMUM = Code("56851009", "SCT", "Maximum")
MEAN = Code("373098007", "SCT", "Mean")
MEDIAN = Code("373099004", "SCT", "Median")
DEVIATION = Code("386136009", "SCT", "Standard Deviation")
PEAK = Code("126031", "DCM", "Peak Value Within ROI")
DERIVATIONS = {"MAX": MAXIMUM, "MEAN": MEAN, "MED": MEDIAN, "SD": DEVIATION, "PEAK": PEAK}

VOLUME = Code("118565006", "SCT", "Volume")
METABOLIC_VOLUME = Code("126032", "DCM", "Metabolic Volume")
GLYCOLYSIS = Code("126033", "DCM", "Total Lesion Glycolysis")
SEGMENTED_VOXELS = Code("126030", "DCM", "Sum of segmented voxel volumes")
MILLILITRE, GRAM = Code("ml", "UCUM", "milliliter"), Code("g", "UCUM", "gram")

LESION = Code("52988006", "SCT", "Lesion")
REFERENCE_REGION = Code("C94970", "NCIt", "Reference Region")
WHOLE_BODY = Code("38266002", "SCT", "Entire body")
REFERENCE_SITES = {
    "LIVER": Code("10200004", "SCT", "Liver"),
    "AORTA": Code("281130003", "SCT", "Descending aorta"),
}
ALTERED = Code("49755003", "SCT", "Morphologically Altered Structure")
ANATOMY = Code("91723000", "SCT", "Anatomical Structure")

PROCEDURE = Code("443271005", "SCT", "PET/CT FDG imaging of whole body")
MODALITY_PET = Code("PT", "DCM", "Positron emission tomography")
RADIONUCLIDE = Code("89457008", "SCT", "Radionuclide")
AGENT = Code("349358000", "SCT", "Radiopharmaceutical agent")
FLUORINE = Code("77004003", "SCT", "^18^Fluorine")
FDG = Code("35321007", "SCT", "Fluorodeoxyglucose F^18^")

QUANTITY = Code("246205007", "SCT", "Quantity")
METHOD = Code("370129005", "SCT", "Measurement Method")


class Uptake(NamedTuple):
    """A standardised uptake value.

    Attributes
    ----------
    name, unit, method : Code
        Quantity, UCUM unit, and how body size was computed.
    """

    name: Code
    unit: Code
    method: Code


def _uptake(value: str, kind: str, method: str, meaning: str) -> Uptake:
    unit = Code(f"g/ml{{{kind}}}", "UCUM", f"Standardized Uptake Value {meaning}")
    return Uptake(Code(value, "DCM", kind), unit, Code(method, "DCM", _METHODS[method]))


_METHODS = {
    "126410": "SUV body weight calculation method",
    "126414": "SUV lean body mass calculation Janmahasatian method",
    "126415": "SUV lean body mass calculation method using 128 multiplier",
}
# Body size of the plan (`analysis.pet.body_size.NORMALISATIONS`) -> how it is said.
UPTAKES = {
    "bw": _uptake("126401", "SUVbw", "126410", "body weight"),
    "lbm_janma": _uptake("126405", "SUVlbm(Janma)", "126414", "lean body mass (Janma)"),
    "lbm_james128": _uptake("126406", "SUVlbm(James128)", "126415", "lean body mass (James 128 multiplier)"),
}


class Concept(NamedTuple):
    """How a METRIC is said.

    Attributes
    ----------
    name, unit : Code
        Quantity and unit.
    derivation, method : Code or None
        Which value of the region; how it was measured.
    """

    name: Code
    unit: Code
    derivation: Code | None
    method: Code | None


def concepts_of(rules) -> dict[str, Concept]:
    """Tell how every METRIC that has a code is said.

    Not said: SUVPEAK2 and SUVPEAK3 (the standard has one peak), VOLSRC, ratios and corrected values.

    Parameters
    ----------
    rules : Section
        Plan section ``pet`` (`sul_formula`, `mtv_percents`, `mtv_fixed_suv`).

    Returns
    -------
    dict of str to Concept
        By METRIC, in the order of writing.
    """
    found = {}
    for prefix, size in (("SUV", "bw"), ("SUL", rules.sul_formula)):
        uptake = UPTAKES[size]
        for ending, derivation in DERIVATIONS.items():
            found[prefix + ending] = Concept(uptake.name, uptake.unit, derivation, uptake.method)
    found["VOLUME"] = Concept(VOLUME, MILLILITRE, None, SEGMENTED_VOXELS)
    found["TLG"] = Concept(GLYCOLYSIS, GRAM, None, SEGMENTED_VOXELS)
    found["TMTV"] = Concept(METABOLIC_VOLUME, MILLILITRE, None, SEGMENTED_VOXELS)
    found["TTLG"] = Concept(GLYCOLYSIS, GRAM, None, SEGMENTED_VOXELS)
    for suffix, meaning in _thresholds(rules).items():
        method = Code(f"MTV{suffix}", SCHEME, meaning)
        for before in ("", "T"):
            found[f"{before}MTV{suffix}"] = Concept(METABOLIC_VOLUME, MILLILITRE, None, method)
            found[f"{before}TLG{suffix}"] = Concept(GLYCOLYSIS, GRAM, None, method)
    return found


def _thresholds(rules) -> dict[str, str]:
    """Return the voxels that count under every threshold of the plan, by the suffix of a METRIC."""
    found = {
        f"{percent:g}": f"Voxels from {percent:g} % of maximum, connected" for percent in rules.mtv_percents
    }
    found |= {f"{level * 10:g}F": f"Voxels from SUVbw {level:g}" for level in rules.mtv_fixed_suv}
    return found | {"P": "Voxels from PERCIST threshold of own liver"}


_RESPONSES = {
    "CMR": "Complete metabolic response",
    "PMR": "Partial metabolic response",
    "SMD": "Stable metabolic disease",
    "PMD": "Progressive metabolic disease",
    "NE": "Not evaluable",
    "RESPONDER": "Metabolic responder",
    "NON-RESPONDER": "Metabolic non-responder",
}


def response_codes(rule: str, metric: str, cut: float, answer: str) -> tuple[Code, Code]:
    """Code a metabolic response: what was asked, and the class.

    Parameters
    ----------
    rule, metric, cut, answer
        RULE, METRIC, CUT and AVALC of a row of admr.

    Returns
    -------
    (Code, Code)
        Question and answer, of the private scheme.
    """
    asked = Code(f"{rule}.{metric}.{cut:g}".upper(), SCHEME, f"Response by {rule}, {metric}, {cut:g} %"[:64])
    return asked, Code(answer, SCHEME, _RESPONSES.get(answer, f"Class {answer}"))
