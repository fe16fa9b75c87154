"""Compressed transfer syntaxes: without loss exactly the same SUV, with loss a refusal."""

import gdcm
import numpy as np
import pydicom
import pytest
from dicom_factory import set_pixels, triple_phantom, truncate, write_series
from pydicom import uid as uids
from pydicom.encaps import encapsulate

from analysis import plan
from analysis.pet import SeriesRefused, load_pet
from analysis.pet.codestream import describe_stream

PHANTOM = triple_phantom((4, 7, 9)) * np.where(
    np.arange(9) < 2, -1, 1
)  # odd sizes; signed, negative at noise


def write_phantom(folder):
    return write_series(folder, PHANTOM)


def recode_by_gdcm(folder, syntax):
    """Compress every file with GDCM."""
    for file in folder.iterdir():
        reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
        reader.SetFileName(str(file))
        assert reader.Read()
        change.SetTransferSyntax(gdcm.TransferSyntax(syntax))
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer.SetFileName(str(file))
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        assert writer.Write()


def recode_by_pydicom(folder, syntax):
    for file in folder.iterdir():
        ds = pydicom.dcmread(file)
        ds.compress(syntax)
        ds.save_as(file)


def deflate(folder, syntax):
    for file in folder.iterdir():
        ds = pydicom.dcmread(file)
        ds.file_meta.TransferSyntaxUID = syntax
        ds.save_as(file)


def big_endian(folder, syntax):
    for file in folder.iterdir():
        ds = pydicom.dcmread(file)
        ds.walk(lambda _, element: element.value)  # decoded, so that it can be written in the other order
        ds.PixelData = np.frombuffer(ds.PixelData, "<i2").astype(">i2").tobytes()
        ds.file_meta.TransferSyntaxUID = syntax
        pydicom.dcmwrite(file, ds, implicit_vr=False, little_endian=False)


@pytest.mark.parametrize(
    ("recode", "how", "syntax"),
    [
        (recode_by_gdcm, gdcm.TransferSyntax.JPEGLosslessProcess14, uids.JPEGLossless),
        (recode_by_gdcm, gdcm.TransferSyntax.JPEGLosslessProcess14_1, uids.JPEGLosslessSV1),
        (recode_by_gdcm, gdcm.TransferSyntax.JPEGLSLossless, uids.JPEGLSLossless),
        (recode_by_gdcm, gdcm.TransferSyntax.JPEG2000Lossless, uids.JPEG2000Lossless),
        (recode_by_gdcm, gdcm.TransferSyntax.RLELossless, uids.RLELossless),
        (recode_by_pydicom, uids.JPEGLSLossless, uids.JPEGLSLossless),
        (recode_by_pydicom, uids.RLELossless, uids.RLELossless),
        (deflate, uids.DeflatedExplicitVRLittleEndian, uids.DeflatedExplicitVRLittleEndian),
        (big_endian, uids.ExplicitVRBigEndian, uids.ExplicitVRBigEndian),
    ],
)
@pytest.mark.parametrize("fast", [True, False])
def test_a_lossless_syntax_gives_exactly_the_same_suv(tmp_path, recode, how, syntax, fast):
    folder = write_phantom(tmp_path / "pet")
    plain = load_pet(folder).values
    recode(folder, how)
    assert {pydicom.dcmread(file).file_meta.TransferSyntaxUID for file in folder.iterdir()} == {syntax}
    rules = plan.defaults().override({"pet.fast_path": fast}).pet
    pet = load_pet(folder, strict=True, rules=rules)
    np.testing.assert_array_equal(pet.values, plain)
    assert pet.values.min() < 0 and pet.values.shape == (4, 7, 9)


def test_a_series_of_plain_and_compressed_files_reads_like_the_plain_one(tmp_path):
    folder = write_phantom(tmp_path / "pet")
    plain = load_pet(folder).values
    file = folder / "slice_002.dcm"
    ds = pydicom.dcmread(file)
    ds.compress(uids.RLELossless)
    ds.save_as(file)
    np.testing.assert_array_equal(load_pet(folder).values, plain)


@pytest.mark.parametrize("syntax", [uids.JPEGLSLossless, uids.RLELossless])
def test_unsigned_pixels_of_twelve_bits_stay_what_they_are(tmp_path, syntax):
    def edit(ds, k):
        stored = np.frombuffer(ds.PixelData, "<i2").reshape(ds.Rows, ds.Columns)
        set_pixels(ds, np.clip(stored // 8, 0, 4095))
        ds.PixelRepresentation, ds.BitsStored, ds.HighBit = 0, 12, 11

    folder = write_series(tmp_path / "pet", edit=edit)
    plain = load_pet(folder).values
    assert plain.max() > 0
    recode_by_pydicom(folder, syntax)
    np.testing.assert_array_equal(load_pet(folder).values, plain)


def relabel(folder, syntax=None, **values):
    for file in folder.iterdir():
        ds = pydicom.dcmread(file)
        for name, value in values.items():
            setattr(ds, name, value)
        if syntax:
            ds.file_meta.TransferSyntaxUID = syntax
        ds.save_as(file)


def near_lossless(folder):
    for file in folder.iterdir():
        ds = pydicom.dcmread(file)
        ds.compress(uids.JPEGLSNearLossless, jls_error=3)
        ds.save_as(file)


def assert_refused(code, folder, match="", **options):
    with pytest.raises(SeriesRefused, match=match) as refused:
        load_pet(folder, **options)
    assert refused.value.code == code


def test_near_lossless_pixels_are_refused_unless_the_plan_adapts(tmp_path):
    folder = write_phantom(tmp_path / "pet")
    plain = load_pet(folder).values
    near_lossless(folder)
    assert_refused("LOSSY_COMPRESSION", folder, match="Near-Lossless")
    rules = plan.defaults().override({"pet.lossy_pixels": "adapt"}).pet
    pet = load_pet(folder, rules=rules)
    assert pet.adaptations == ["LOSSY_COMPRESSION"]
    assert 0 < np.abs(pet.values - plain).max() < 0.01
    assert_refused("STRICT_LOSSY_COMPRESSION", folder, rules=rules, strict=True)


def test_plain_pixels_that_were_once_compressed_with_loss_are_refused(tmp_path):
    folder = write_phantom(tmp_path / "pet")
    relabel(folder, LossyImageCompression="00")
    load_pet(folder)
    relabel(folder, LossyImageCompression="01")
    assert_refused("LOSSY_COMPRESSION", folder, match="'01'")


def test_one_slice_compressed_with_loss_is_enough_to_refuse(tmp_path):
    folder = write_phantom(tmp_path / "pet")
    file = folder / "slice_002.dcm"
    ds = pydicom.dcmread(file)
    ds.LossyImageCompression = "01"
    ds.save_as(file)
    assert_refused("LOSSY_COMPRESSION", folder)


@pytest.mark.parametrize(("label", "refused"), [(None, True), ("01", True), ("00", False)])
def test_jpeg_2000_that_may_be_lossy_is_believed_when_it_says_it_is_not(tmp_path, label, refused):
    folder = write_phantom(tmp_path / "pet")
    plain = load_pet(folder).values
    recode_by_gdcm(folder, gdcm.TransferSyntax.JPEG2000Lossless)
    relabel(folder, uids.JPEG2000, **({"LossyImageCompression": label} if label else {}))
    if refused:
        assert_refused("LOSSY_COMPRESSION", folder, match="JPEG 2000")
    else:
        np.testing.assert_array_equal(load_pet(folder).values, plain)


@pytest.mark.parametrize("label", ["00", None])
def test_jpeg_baseline_is_refused_whatever_it_says(tmp_path, label):
    def edit(ds, k):
        stored = np.frombuffer(ds.PixelData, "<i2").reshape(ds.Rows, ds.Columns)
        set_pixels(ds, stored)
        ds.BitsAllocated = ds.BitsStored = 8
        ds.HighBit, ds.PixelRepresentation = 7, 0
        ds.PixelData = np.clip(stored // 128, 0, 255).astype(np.uint8).tobytes()
        ds.PixelData += b"\0" * (len(ds.PixelData) % 2)

    folder = write_series(tmp_path / "pet", triple_phantom((4, 16, 16)), edit=edit)
    recode_by_gdcm(folder, gdcm.TransferSyntax.JPEGBaselineProcess1)
    relabel(folder, **({"LossyImageCompression": label} if label else {}))
    assert_refused("LOSSY_COMPRESSION", folder)


def test_a_broken_code_stream_is_refused(tmp_path):
    folder = write_phantom(tmp_path / "pet")
    recode_by_pydicom(folder, uids.JPEGLSLossless)
    file = folder / "slice_001.dcm"
    ds = pydicom.dcmread(file)
    ds.PixelData = encapsulate([b"\xff\xd8\xff\xf7" + b"\x00" * 60])
    ds.save_as(file)
    assert_refused("PIXELS_UNREADABLE", folder, match="JPEG-LS")


def test_a_code_stream_of_another_size_is_refused(tmp_path):
    folder = write_phantom(tmp_path / "pet")
    recode_by_pydicom(folder, uids.RLELossless)
    relabel(folder, Rows=8)
    assert_refused("PIXELS_UNREADABLE", folder)


def test_a_compressed_file_cut_short_is_refused(tmp_path):
    folder = write_phantom(tmp_path / "pet")
    recode_by_pydicom(folder, uids.RLELossless)
    truncate(folder / "slice_001.dcm", 0.9)
    assert_refused("TRUNCATED_FILE", folder)


@pytest.mark.parametrize("syntax", [b"1.2.840.10008.1.2.9", b"1.2.840.10008.1.2.4.201"])
def test_a_syntax_without_a_decoder_says_so(tmp_path, syntax):
    """An unknown one of RLE's length, and high-throughput JPEG 2000."""
    folder = write_phantom(tmp_path / "pet")
    recode_by_pydicom(folder, uids.RLELossless)
    if len(syntax) > 20:
        relabel(folder, uids.UID(syntax.decode()))
    else:
        for file in folder.iterdir():
            file.write_bytes(file.read_bytes().replace(b"1.2.840.10008.1.2.5", syntax))
    assert_refused("PIXELS_UNREADABLE", folder, match="no decoder")
    with pytest.raises(SeriesRefused) as refused:
        load_pet(folder)
    assert "1.2.840" not in refused.value.message


# ---- a header that does not fit its pixels ----


@pytest.mark.parametrize(
    "syntax",
    [
        gdcm.TransferSyntax.JPEGLosslessProcess14_1,
        gdcm.TransferSyntax.JPEGLSLossless,
        gdcm.TransferSyntax.JPEG2000Lossless,
    ],
)
@pytest.mark.parametrize("values", [{"Rows": 80}, {"Rows": 6}, {"Columns": 90}])
def test_a_code_stream_of_another_size_is_given_to_no_decoder(tmp_path, syntax, values):
    """A decoder asked for more rows than there are may end the process."""
    folder = write_phantom(tmp_path / "pet")
    recode_by_gdcm(folder, syntax)
    relabel(folder, **values)
    assert_refused("PIXELS_UNREADABLE", folder, match="7 x 9 of 16 bits")


def test_decoded_pixels_beyond_the_stated_bits_are_refused(tmp_path):
    """16 bits in the code stream, labelled as 12: who is right cannot be known."""

    def edit(ds, k):
        set_pixels(ds, np.frombuffer(ds.PixelData, "<i2").reshape(ds.Rows, ds.Columns).clip(0))
        ds.PixelRepresentation = 0

    folder = write_series(tmp_path / "pet", edit=edit)
    recode_by_pydicom(folder, uids.JPEGLSLossless)
    relabel(folder, BitsStored=12, HighBit=11)
    assert_refused("PIXELS_UNREADABLE", folder, match="12 bits of Bits Stored")


SIZE = (2).to_bytes(2, "big") + (3).to_bytes(2, "big")  # rows, columns


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"\xff\xd8\xff\xf7\x00\x0b\x10" + SIZE + b"\x01", (2, 3, 1, 16)),  # JPEG-LS: SOF55
        (b"\xff\xd8\xff\xe0\x00\x04ab\xff\xff\xc3\x00\x0b\x0c" + SIZE + b"\x03", (2, 3, 3, 12)),  # APP0, fill
        (b"\xff\xd8\xff\xc4\x00\x02\xff\xda\x00\x02", None),  # tables and a scan, but no frame
        (b"\xff\xd8\xff\xf7\x00\x0b\x10\x00", None),  # cut short
        (
            b"\xff\x4f\xff\x51\x00\x29\x00\x00"
            + b"".join(n.to_bytes(4, "big") for n in (13, 22, 10, 20, 3, 2, 10, 20))
            + b"\x00\x01\x8f\x01\x01",
            (2, 3, 1, 16),
        ),  # SIZ: extent less offset; signed, 16 bits
        (b"\0" * 20, None),
    ],
)
def test_a_code_stream_tells_its_size(stream, expected):
    """ISO/IEC 10918-1 B.2.2, 14495-1 C.2.2 and 15444-1 A.5.1, by hand."""
    assert describe_stream(stream) == expected


def longer(ds):
    ds.PixelData += b"\0\0"


def wrapped(ds):
    ds.PixelData = encapsulate([ds.PixelData])
    ds["PixelData"].is_undefined_length = True


@pytest.mark.parametrize(
    "change",
    [
        longer,
        wrapped,
        lambda ds: setattr(ds, "HighBit", 11),
        lambda ds: setattr(ds, "BitsStored", 12),
        lambda ds: (setattr(ds, "BitsStored", 17), setattr(ds, "HighBit", 16)),
        lambda ds: setattr(ds, "Rows", 5),
    ],
)
@pytest.mark.parametrize("which", [slice(None), slice(2, 3)])
@pytest.mark.parametrize("fast", [True, False])
def test_plain_pixels_that_are_not_as_described_are_refused(tmp_path, change, which, fast):
    """PS3.5 8.1.1: High Bit is Bits Stored - 1; 8.1.2: the pixels fill the element, but for a byte of padding."""
    folder = write_phantom(tmp_path / "pet")
    for file in sorted(folder.iterdir())[which]:
        ds = pydicom.dcmread(file)
        change(ds)
        ds.save_as(file)
    assert_refused("PIXELS_UNREADABLE", folder, rules=plan.defaults().override({"pet.fast_path": fast}).pet)


@pytest.mark.parametrize("fast", [True, False])
def test_a_byte_that_fills_up_to_an_even_number_is_no_pixel(tmp_path, fast):
    def edit(ds, k):
        stored = np.arange(63, dtype=np.uint8) + k
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
        ds.PixelData = stored.tobytes() + b"\0"

    folder = write_series(tmp_path / "pet", PHANTOM, edit=edit)
    pet = load_pet(folder, rules=plan.defaults().override({"pet.fast_path": fast}).pet)
    assert pet.values.argmax(axis=2)[0].tolist() == [8] * 7
