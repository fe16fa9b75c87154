"""PET: DICOM to standardised uptake, regions of interest, lesion metrics, metabolic response.

The names below are imported on first use, so that ``import analysis.pet`` stays cheap.
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
