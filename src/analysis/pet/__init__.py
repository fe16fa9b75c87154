"""PET: DICOM to standardised uptake, regions of interest, lesion metrics, metabolic response.

- one file: `dicomfile`, `plainfile` (walk its bytes), `fastpath`, `header` (planes), `enhanced`, `realworld`,
  `pixels`, `codestream`
- one series: `series` (``load_pet``), `groups`, `geometry`, `suv`, `timing`, `injection`, `gates`,
  `body_size`, `clock`, `record`, `technique`, `harmonisation`
- regions: `roi` (``load_rois``), `roi_file`, `rtstruct`, `contour_file`, `contour`, `oblique`,
  `segmentation`, `frame_groups`, `nifti`, `masks`, `planes`, `region`, `seeds`, `growing`
- numbers: `metrics` (``measure``), `peak`, `reference_regions`, `proposals`, `torso`, `patient_view`,
  `reference_choice`, `quality`
- one study: `index`, `walk`, `filekind`, `describe`, `damage`, `dicomdir`, `pairing`, `assign`, `scan_map`,
  `reader_tables`, `tasks`, `scan_regions`, `scan_facts`, `measurement` (``measure_scan``), `study`, `ledger`
- pictures: `projection`, `head` (what is cut of real patients)
- lesions over time: `registration`, `matching`, `lesion_identity`, `lesion_names`, `lesion_tracking`,
  `lesion_proposals`, `lesion_links`, `propagation`, `lesion_queries`
- numbers of a reading centre: `measurements_in`, `measurement_records`, `measurement_scans`,
  `measurement_decisions`, `measurement_flags`; beside the scans `conditions`, `corrected`
- response: `response` (``classify``), `response_rules`, `response_flags`, `lesion_pairs`, `lesion_changes`,
  `lesion_background`, `comparability`, `pair_limits`, `repeatability`, `misclassification`, `lesion_count`
- exchange: `export` (DICOM SEG, SR, real world value maps; its own map)

Every refusal, adaptation and flag is a code (`codes`). The names below are imported on first use, so that
``import analysis.pet`` stays cheap.
"""

from importlib import import_module
from typing import Any

_HOME = {
    "load_pet": "analysis.pet.series",
    "PetImage": "analysis.pet.series",
    "SeriesRefused": "analysis.pet.codes",
    "RoiRefused": "analysis.pet.codes",
    "load_rois": "analysis.pet.roi",
    "measure": "analysis.pet.metrics",
}

__all__ = ["PetImage", "RoiRefused", "SeriesRefused", "load_pet", "load_rois", "measure"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
