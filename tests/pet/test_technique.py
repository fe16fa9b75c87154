"""Free text of a header: what names a person does not leave it."""

import pydicom
import pytest

from analysis import plan
from analysis.pet.codes import Notes
from analysis.pet.technique import read_technique, technique_facts


@pytest.mark.parametrize(
    ("text", "kept"), [("Jane Doe 3", None), ("DOE, JANE", None), ("Doe filter 3", "Doe filter 3")]
)
@pytest.mark.parametrize("keyword", ["PatientName", "OperatorsName"])
def test_a_text_with_two_parts_of_a_persons_name_is_dropped(keyword, text, kept):
    ds, notes = pydicom.Dataset(), Notes()
    setattr(ds, keyword, "Doe^Jane^M")
    ds.SoftwareVersions, ds.ReconstructionMethod = text, "PSF+TOF 2i21s"
    facts = technique_facts([read_technique(ds)], notes, plan.defaults().pet)
    assert (facts["software"], facts["reconstruction"]) == (kept, "PSF+TOF 2i21s")
    assert ("RECON_TEXT_UNUSUAL" in notes.flags) == (kept is None)
