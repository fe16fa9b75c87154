"""Biomarkers of resistance: tumour and serial plasma against early metabolic response and outcome."""

from analysis.biomarkers.adbm import DerivedMarkers, derive_adbm, select_variants
from analysis.biomarkers.association import (
    assemble_outcomes,
    estimate_associations,
    estimate_ctdna,
    landmark_outcomes,
    select_markers,
)
from analysis.biomarkers.cbioportal import CbioportalStudy, read_cbioportal
from analysis.biomarkers.multiplicity import bh, westfall_young
from analysis.biomarkers.overview import tabulate_alterations, tabulate_tracks, tabulate_trajectories
from analysis.biomarkers.plasma import (
    classify_clearance,
    read_plasma,
    tabulate_clearance,
    tabulate_pet_by_ctdna,
)
from analysis.biomarkers.textfile import FileRefused

__all__ = [
    "CbioportalStudy",
    "DerivedMarkers",
    "FileRefused",
    "assemble_outcomes",
    "bh",
    "classify_clearance",
    "derive_adbm",
    "estimate_associations",
    "estimate_ctdna",
    "landmark_outcomes",
    "read_cbioportal",
    "read_plasma",
    "select_markers",
    "select_variants",
    "tabulate_alterations",
    "tabulate_clearance",
    "tabulate_pet_by_ctdna",
    "tabulate_tracks",
    "tabulate_trajectories",
    "westfall_young",
]
