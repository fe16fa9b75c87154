"""Reading without pydicom gives what pydicom gives: field by field, refusal by refusal."""

import dataclasses
import os

import numpy as np
import pydicom
import pytest
from dicom_factory import (
    PET,
    ROOT_UID,
    add_private,
    pet_slice,
    tracer,
    triple_phantom,
    truncate,
    write_series,
)
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian

from analysis import plan
from analysis.pet import SeriesRefused, header, load_pet
from analysis.pet.dicomfile import find_files

# pydicom warns of values it reads all the same; the damaged files here are made on purpose.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

RULES = plan.defaults().pet
OFF = plan.defaults().override({"pet.fast_path": False}).pet


# ---- comparing ----


def outcome(path, fast):
    """What reading gives: slices, what was passed over, and at the end perhaps the code of a refusal."""
    found = []
    try:
        found.extend(header.read_slices(find_files(path), fast=fast, rules=RULES))
    except SeriesRefused as refused:
        found.append((refused.code, refused.message))
    return found


def assert_same(one, other):
    assert type(one) is type(other)
    if dataclasses.is_dataclass(one):
        for name in (field.name for field in dataclasses.fields(one)):
            assert_same(getattr(one, name), getattr(other, name))
    elif isinstance(one, np.ndarray):
        assert (one.shape, one.dtype) == (other.shape, other.dtype)
        assert np.array_equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same(one[key], other[key])
    else:
        assert one == other or (one != one and other != other)


def assert_equal_outcomes(path):
    quick, slow = outcome(path, fast=True), outcome(path, fast=False)
    assert len(quick) == len(slow)
    for one, other in zip(quick, slow, strict=True):
        assert_same(one, other)
    return quick


@pytest.fixture
def by_pydicom(monkeypatch):
    """Names of the files pydicom read."""
    names, read = [], header._read

    def record(name, *rest):
        names.append(name)
        return read(name, *rest)

    monkeypatch.setattr(header, "_read", record)
    return names


def assert_read_fast(path, by_pydicom, expected):
    """Assert equal outcomes, and that pydicom read only the `expected` files by number."""
    assert_equal_outcomes(path)
    names = [name for name, _ in find_files(path)]
    by_pydicom.clear()
    outcome(path, fast=True)
    assert by_pydicom == [names[index] for index in expected]


# ---- series ----


def vary(ds, k):
    """What scanners write differently into every slice."""
    ds.InstanceCreationDate, ds.InstanceCreationTime = "20250101", f"1100{k:02d}.{'0' * (1 + k % 3)}"
    ds.ContentDate, ds.ContentTime = "20250101", f"1101{k:02d}"
    ds.AcquisitionTime = f"11{k // 3:02d}00.00"
    ds.AcquisitionNumber, ds.InstanceNumber, ds.ImageIndex = 7 * k, k + 1, k + 1
    ds.SliceLocation = str(-4.5 * k)
    ds.FrameReferenceTime = f"{149605.34 + 60000 * (k // 3):.2f}"
    ds.ActualFrameDuration = str(300000 + k // 2)
    ds.DecayFactor = f"{1.0158 + 0.0063 * (k // 3):.{3 + k % 4}f}"
    ds.WindowCenter, ds.WindowWidth = str(100 * k), str(2**k)
    ds.SmallestImagePixelValue, ds.LargestImagePixelValue = 0, 1000 * k
    ds.DoseCalibrationFactor, ds.ScatterFractionFactor = f"1.{k}", f"0.{'3' * (k + 1)}"
    ds.PrimaryPromptsCountsAccumulated = 10**k


def referenced(k, undefined):
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = PET, f"1.2.3.{10**k}"
    item.is_undefined_length_sequence_item = undefined
    return item


def with_sequences(undefined_length, undefined_items):
    def edit(ds, k):
        vary(ds, k)
        ds.SourceImageSequence = [referenced(k, undefined_items) for _ in range(1 + k % 3)]
        ds["SourceImageSequence"].is_undefined_length = undefined_length
        inner = referenced(k, undefined_items)
        inner.PurposeOfReferenceCodeSequence = [referenced(k, undefined_items)]
        inner["PurposeOfReferenceCodeSequence"].is_undefined_length = undefined_length
        ds.ReferencedImageSequence = [inner] if k else []
        ds["ReferencedImageSequence"].is_undefined_length = undefined_length

    return edit


def with_private(ds, k):
    vary(ds, k)
    add_private(ds, 0x0009, "GEMS_PETD_01", 0x0D, "DT", "20250101110000.00")
    add_private(ds, 0x0009, "GEMS_PETD_01", 0x3C, "LO", "x" * (2 * k))
    add_private(ds, 0x0029, "SOMEBODY", 0x01, "OB", bytes(range(2 * k)))
    add_private(ds, 0x7053, "Philips PET Private Group", 0x00, "DS", "0.00025 ")
    add_private(ds, 0x7053, "Philips PET Private Group", 0x09, "DS", "1.5")


def with_padding(ds, k):
    vary(ds, k)
    ds.DataSetTrailingPadding = b"\0" * 6


def unsigned_12_bits(ds, k):
    vary(ds, k)
    ds.PixelRepresentation, ds.BitsStored, ds.HighBit = 0, 12, 11


def implicit(edit):
    def edited(ds, k):
        edit(ds, k)
        ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian

    return edited


PLAIN = {
    "per slice": vary,
    "defined sequences": with_sequences(False, False),
    "open sequences": with_sequences(True, False),
    "open items": with_sequences(True, True),
    "private": with_private,
    "padding": with_padding,
    "unsigned 12 bits": unsigned_12_bits,
}


@pytest.mark.parametrize("syntax", ["explicit", "implicit"])
@pytest.mark.parametrize("kind", PLAIN)
def test_plain_series_are_read_once_by_pydicom_and_the_same(tmp_path, by_pydicom, kind, syntax):
    edit = PLAIN[kind] if syntax == "explicit" else implicit(PLAIN[kind])
    folder = write_series(tmp_path, triple_phantom((9, 5, 6)), edit=edit)
    assert_read_fast(folder, by_pydicom, [0])


def test_slices_share_what_does_not_differ(tmp_path):
    folder = write_series(tmp_path, triple_phantom((9, 5, 6)), edit=vary)
    first, *_, last_but_one, last = outcome(folder, fast=True)
    assert last.orientation is first.orientation and last.pixel_spacing_mm is first.pixel_spacing_mm
    assert last.image_type is first.image_type and last.corrections is first.corrections
    assert last.text is last_but_one.text  # of one bed
    assert last.stored.base is not None and not last.stored.flags.writeable


# ---- a file that deviates ----


def only(index, change):
    def edit(ds, k):
        vary(ds, k)
        if k == index:
            change(ds)

    return edit


def assign(name, value):
    return lambda ds: setattr(ds, name, value)


def delete(name):
    return lambda ds: delattr(ds, name)


DEVIATING = {
    "an element more": assign("PatientComments", "more"),
    "an element less": delete("WindowCenter"),
    "another weight": assign("PatientWeight", "71"),
    "no weight": delete("PatientWeight"),
    "other units": assign("Units", "CNTS"),
    "other tracer": lambda ds: setattr(tracer(ds), "RadionuclideTotalDose", "1e8"),
    "another matrix": lambda ds: (assign("Rows", 6)(ds), assign("Columns", 5)(ds)),
    "another image type": assign("ImageType", ["DERIVED", "PRIMARY"]),
    "a character set": assign("SpecificCharacterSet", "ISO_IR 100"),
    "an empty decay factor": assign("DecayFactor", ""),
    "two decay factors": assign("DecayFactor", ["1.0", "2.0"]),
    "two times": assign("AcquisitionTime", ["110000", "110001"]),
    "a time with colons": assign("AcquisitionTime", "11:00:00"),
    "no position": assign("ImagePositionPatient", None),
    "an infinite position": assign("ImagePositionPatient", ["0", "0", "1e999"]),
    "two coordinates": assign("ImagePositionPatient", ["0", "1"]),
    "a slope like 1e0": assign("RescaleSlope", "1E+00"),
    "more bits": assign("BitsStored", 15),
    "a private creator": lambda ds: add_private(ds, 0x7053, "Philips PET Private Group", 0x00, "DS", "2"),
    "another instance of another class": assign("SOPClassUID", "1.2.840.10008.5.1.4.1.1.2"),
    "two samples": assign("SamplesPerPixel", 3),
    "frames": assign("NumberOfFrames", "2"),
}


@pytest.mark.parametrize("syntax", ["explicit", "implicit"])
@pytest.mark.parametrize("kind", DEVIATING)
@pytest.mark.parametrize("index", [0, 3])
def test_a_file_that_deviates_is_read_by_pydicom_and_the_rest_is_not(
    tmp_path, by_pydicom, kind, syntax, index
):
    edit = only(index, DEVIATING[kind])
    write_series(tmp_path, triple_phantom((6, 5, 6)), edit=edit if syntax == "explicit" else implicit(edit))
    assert_equal_outcomes(tmp_path)
    by_pydicom.clear()
    found = outcome(tmp_path, fast=True)
    if len(found) == 6 and isinstance(found[-1], header.PetSlice):
        assert len(by_pydicom) <= 3


@pytest.mark.parametrize(
    "form", ["1.5", " 1.5", "1.5 ", "+1.5e-3", ".5", "5.", "1_0", "0x1p3", "nan", "inf", "1,5", "", " "]
)
@pytest.mark.parametrize("name", ["RescaleSlope", "DecayFactor", "FrameReferenceTime"])
def test_numbers_in_any_form_are_read_as_pydicom_reads_them(tmp_path, name, form):
    folder = write_series(tmp_path, triple_phantom((4, 5, 6)), edit=vary)
    for k in (1, 2):
        replace_value(folder / f"slice_{k:03d}.dcm", name, form.encode())
    assert_equal_outcomes(folder)


def replace_value(file, name, value):
    """Put `value` into a file, padded with a space to even length."""
    data, tag = file.read_bytes(), pydicom.datadict.tag_for_keyword(name)
    place = pydicom.dcmread(file).get_item(tag)
    value += b" " * (len(value) % 2)
    start = place.value_tell
    file.write_bytes(
        data[: start - 2] + len(value).to_bytes(2, "little") + value + data[start + place.length :]
    )


def test_several_series_in_one_folder_are_read_fast(tmp_path, by_pydicom):
    def heavier(ds, k):
        vary(ds, k)
        ds.PatientWeight = "80"

    for series, edit in ((2, vary), (3, heavier)):
        for file in write_series(tmp_path / str(series), edit=edit, series=series).iterdir():
            file.rename(tmp_path / f"{file.stem}_{series}.dcm")
    assert_read_fast(tmp_path, by_pydicom, [0])


def test_compressed_and_other_files_are_left_to_pydicom(tmp_path, by_pydicom):
    folder = write_series(tmp_path, edit=vary)
    for file in sorted(folder.glob("*.dcm"))[1:3]:
        ds = pydicom.dcmread(file)
        ds.compress(pydicom.uid.RLELossless, generate_instance_uid=False)
        ds.save_as(file)
    (folder / "notes").write_text("a note")
    assert_read_fast(folder, by_pydicom, [0, 1, 2, 3])


# ---- damaged files ----


@pytest.mark.parametrize("index", [0, 2])
@pytest.mark.parametrize("keep", [0.0, 0.1, 0.3, 0.6, 0.9, 0.99])
def test_a_cut_file_has_the_same_outcome(tmp_path, index, keep):
    folder = write_series(tmp_path, edit=vary)
    truncate(folder / f"slice_{index:03d}.dcm", keep)
    assert assert_equal_outcomes(folder)[-1][0] == "TRUNCATED_FILE"


@pytest.mark.parametrize(
    "tail", [b"\0", b"\0\0", b"\0" * 8, b"\0" * 13, b"\xfc\xff\xfc\xffOB\0\0\2\0\0\0ab", b"x" * 300]
)
@pytest.mark.parametrize("every", [True, False])
def test_bytes_after_the_pixels_have_the_same_outcome(tmp_path, tail, every):
    for k, file in enumerate(sorted(write_series(tmp_path, edit=vary).iterdir())):
        if every or k == 2:
            file.write_bytes(file.read_bytes() + tail)
    assert_equal_outcomes(tmp_path)


def test_pixels_of_odd_length_have_the_same_outcome(tmp_path):
    folder = write_series(tmp_path, edit=vary)
    for k in (1, 2):
        file = folder / f"slice_{k:03d}.dcm"
        data = file.read_bytes()
        at = data.rindex(b"\xe0\x7f\x10\x00OW\0\0") + 8
        file.write_bytes(data[:at] + (61).to_bytes(4, "little") + data[at + 4 :] + b"\0")
    assert_equal_outcomes(folder)


@pytest.mark.parametrize("element", [b"\x02\0\x02\0UI", b"\x28\0\x10\0US", b"\x28\0\x53\x10DS"])
def test_an_element_of_an_unknown_vr_has_the_same_outcome(tmp_path, element):
    file = write_series(tmp_path, edit=vary) / "slice_002.dcm"
    content = file.read_bytes()
    assert content.count(element) == 1
    file.write_bytes(content.replace(element, element[:-2] + b"U\0"))
    assert assert_equal_outcomes(tmp_path)[-1][0] == "TRUNCATED_FILE"


@pytest.mark.parametrize("edit", ["per slice", "open items", "private"])
@pytest.mark.parametrize("syntax", ["explicit", "implicit"])
def test_files_with_mutated_headers_have_the_same_outcome(tmp_path, edit, syntax):
    """Bytes changed at random, half of them in the tag, VR or length of an element."""
    rng = np.random.default_rng([len(edit), len(syntax)])
    edit = PLAIN[edit] if syntax == "explicit" else implicit(PLAIN[edit])
    files = sorted(write_series(tmp_path, triple_phantom((4, 4, 5)), edit=edit).iterdir())
    contents = [file.read_bytes() for file in files]
    places = [_element_headers(file) for file in files]
    ends = [content.rindex(b"\xe0\x7f\x10\x00") + 12 for content in contents]
    for _ in range(50):
        k = int(rng.integers(len(files)))
        data = bytearray(contents[k])
        for _ in range(int(rng.integers(1, 4))):
            inside = rng.random() < 0.5
            at = int(rng.choice(places[k])) if inside else int(rng.integers(128, ends[k]))
            data[at] = int(rng.choice([0, 1, 2, 255, rng.integers(256), data[at] ^ 1, data[at] + 2 & 255]))
        files[k].write_bytes(data)
        try:
            assert_equal_outcomes(tmp_path)
        finally:
            files[k].write_bytes(contents[k])


def _element_headers(file):
    """Offsets of the bytes of tags, VRs and lengths, as pydicom finds them."""
    ds = pydicom.dcmread(file)
    found = [ds.get_item(tag) for tag in sorted(ds.keys())]
    starts = [getattr(item, "value_tell", None) or getattr(item, "file_tell", 0) for item in found]
    return [start - back for start in starts if start for back in range(1, 13)]


# ---- whole images ----


def assert_same_image(path):
    quick, slow = load_pet(path, rules=RULES), load_pet(path, rules=OFF)
    assert quick.values.tobytes() == slow.values.tobytes()
    for name in ("affine", "suv_factors", "adaptations", "facts", "coronal_mip", "grid"):
        assert_same(getattr(quick, name), getattr(slow, name))
    assert np.array_equal(quick.coronal_mip, quick.values.max(axis=1))
    assert quick.coronal_mip.dtype == np.float32


@pytest.mark.parametrize("kind", PLAIN)
def test_the_switch_changes_no_number_and_no_fact(tmp_path, kind):
    def edit(ds, k):
        PLAIN[kind](ds, k)
        ds.AcquisitionTime, ds.FrameReferenceTime = "110000.00", "149605.34"

    assert_same_image(write_series(tmp_path, triple_phantom((9, 5, 6)), edit=edit))


def test_everything_a_slice_is_made_of_is_known_to_the_fast_path():
    """An element that `_slice` reads and the fast path does not know would be taken from the first file."""

    asked = set()

    class Recorder(Dataset):
        def get(self, key, default=None):
            asked.add(pydicom.tag.Tag(key))
            return super().get(key, default)

        def __getattr__(self, name):
            if pydicom.datadict.tag_for_keyword(name):
                asked.add(pydicom.tag.Tag(name))
            return super().__getattr__(name)

        def __getitem__(self, key):
            asked.add(pydicom.tag.Tag(key))
            return super().__getitem__(key)

        def __contains__(self, key):
            asked.add(pydicom.tag.Tag(key))
            return super().__contains__(key)

    ds = pet_slice(0, 0.0)
    ds.PixelData = b"\0" * 8
    ds.Rows, ds.Columns, ds.BitsAllocated, ds.BitsStored, ds.PixelRepresentation = 2, 2, 16, 16, 1
    ds.RescaleSlope = "1"
    recorder = Recorder(ds)
    recorder.file_meta = ds.file_meta
    header._slice("a", recorder, header._one_frame("a", recorder), RULES)
    known = {tag for tag in asked if tag in header._WANTED or header._has_meaning(tag) or tag == 0x7FE00010}
    assert asked - known == set()
    assert len(known) > 40
    assert pydicom.datadict.tag_for_keyword("SOPClassUID") not in header._WANTED


@pytest.mark.real
def test_real_series_are_read_the_same(shared_data):
    folders = [
        folder for part in ("sarcoma", "sarcoma_raw", "dro") for folder in (shared_data / part).glob("*/pet")
    ]
    assert len(folders) == 57
    for folder in folders:
        slices = assert_equal_outcomes(folder)
        assert all(isinstance(item, header.PetSlice) for item in slices)


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "by_hand"),
    [("sarcoma_raw/STS_001", 2), ("sarcoma/STS_002", 1), ("dro/DRO_0_0", 1), ("dro/DRO_2_4", 1)],
)
def test_real_images_do_not_depend_on_the_switch(shared_data, by_pydicom, name, by_hand):
    """One bed of the raw series lacks an element: pydicom reads two of its 267 files."""
    assert_same_image(shared_data / name / "pet")
    by_pydicom.clear()
    load_pet(shared_data / name / "pet", rules=RULES)
    assert len(by_pydicom) == by_hand


# ---- which files ----


def relative(root):
    return [os.path.relpath(path, root) for _, path in find_files(root)]


def test_files_are_listed_in_the_order_of_names_and_hidden_ones_are_not(tmp_path):
    for name in ("b/1", "a.dcm", "a/2", "B", ".hidden", ".folder/3", "b/.4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert relative(tmp_path) == ["B", "a.dcm", "a/2", "b/1"]
    said = [f"file {k} of 4 (in the order of names)" for k in (1, 2, 3, 4)]
    assert [name for name, _ in find_files(tmp_path)] == said
    turned = find_files([tmp_path / "b/1", tmp_path / "B"])
    assert [name for name, _ in turned] == [f"file {k} of 2 (in the order of the list)" for k in (1, 2)]


def test_links_are_followed_but_not_in_circles(tmp_path):
    scan, tree = tmp_path / "scan", tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    write_series(scan)
    (tree / "pet").symlink_to(scan)
    (tree / "sub" / "up").symlink_to(tree)
    (tree / "sub" / "above").symlink_to(tmp_path)
    (scan / "back").symlink_to(tree)
    assert relative(tree) == [f"pet/slice_{k:03d}.dcm" for k in range(4)]
    assert len(load_pet(tree).values) == 4


def test_a_link_that_leads_nowhere_is_refused(tmp_path):
    folder = write_series(tmp_path)
    (folder / "slice_009").symlink_to(tmp_path / "gone")
    with pytest.raises(SeriesRefused, match="TRUNCATED_FILE: file 5 of 5 "):
        load_pet(folder)


@pytest.mark.parametrize("content", [b"", b"\0" * 100])
@pytest.mark.parametrize("name", ["IM0001", "1.2.840.10008", "notes.txt", "slice.dcm"])
def test_a_file_cut_before_its_header_is_refused_whatever_its_name(tmp_path, name, content):
    folder = write_series(tmp_path)
    (folder / name).write_bytes(content)
    with pytest.raises(SeriesRefused, match=r"TRUNCATED_FILE: file . of 5 .* has no DICOM header") as error:
        load_pet(folder)
    assert name not in error.value.message
    assert ROOT_UID not in str(assert_equal_outcomes(folder)[-1])


@pytest.mark.parametrize("syntax", ["explicit", "implicit"])
def test_an_empty_file_among_others_is_refused_in_either_syntax(tmp_path, syntax):
    """An empty buffer cannot be read into."""

    def edit(ds, k):
        if syntax == "implicit":
            ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian

    folder = write_series(tmp_path, edit=edit)
    (folder / "slice_002.dcm").write_bytes(b"")
    assert assert_equal_outcomes(folder)[-1][0] == "TRUNCATED_FILE"
