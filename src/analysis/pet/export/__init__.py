"""Objects for exchange: regions as DICOM SEG, numbers as DICOM SR (TID 1500), SUV factors as an RWV map.

- what is said: `codes` (coded concepts), `uids`, `source` (the PET images referred to), `common` (modules all
  three share)
- the objects: `segments` and `seg`, `report`, `rwv`
- one scan: `scan` (``export_scan``); a study: `study` (``export_study``)
- reading: `reading` (``read_back`` of what was written here, ``read_sr`` of any writer)

Nothing of this holds a time of day, a host or a random number: two runs write the same bytes.
"""

from analysis.pet.export.reading import read_back, read_sr
from analysis.pet.export.scan import export_scan
from analysis.pet.export.study import export_study

__all__ = ["export_scan", "export_study", "read_back", "read_sr"]
