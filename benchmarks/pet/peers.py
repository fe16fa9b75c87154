"""The peers at their jobs, each as its own documentation says. Run in .venv-peers.

Each entry of `CONTENDERS` takes the folder of the scan, does what is not timed and returns what is.
"""

from __future__ import annotations

import io
import logging
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom

RADIUS_MM = 6.203505  # of the sphere of 1 ml
REGIONS = [*(f"L{n:02d}" for n in range(1, 11)), "LIVER", "AORTA"]
LESIONS = REGIONS[:10]
Work = Callable[[], Any]


def _files(folder: Path) -> list[Path]:
    return sorted((folder / "pet").iterdir())


def _masks(folder: Path, names=REGIONS) -> dict[str, np.ndarray]:
    import nibabel

    return {
        name: np.asarray(nibabel.load(folder / "nifti" / f"{name}.nii.gz").dataobj).transpose(2, 1, 0) > 0
        for name in names
    }


def _volume(folder: Path) -> np.ndarray:
    headers = [pydicom.dcmread(file) for file in _files(folder)]
    headers.sort(key=lambda ds: ds.ImagePositionPatient[2])
    return np.stack([ds.pixel_array * np.float32(ds.RescaleSlope) for ds in headers]).astype(np.float32)


def _spacing(folder: Path) -> np.ndarray:
    ds = pydicom.dcmread(_files(folder)[0], stop_before_pixels=True)
    return np.array([float(ds.SliceThickness), *map(float, ds.PixelSpacing)])


def _sphere(spacing: np.ndarray) -> np.ndarray:
    reach = np.ceil(RADIUS_MM / spacing).astype(int)
    axes = [np.arange(-n, n + 1) * step for n, step in zip(reach, spacing, strict=True)]
    return sum(axis**2 for axis in np.meshgrid(*axes, indexing="ij")) <= RADIUS_MM**2


# ------------------------------------------------------------------------------------------ reading
def pydicom_headers(folder: Path) -> Work:
    """Read the headers."""
    files = _files(folder)
    return lambda: [pydicom.dcmread(file, stop_before_pixels=True) for file in files]


def pydicom_frombuffer(folder: Path) -> Work:
    """Read headers and pixels, and scale them."""
    files = _files(folder)

    def work():
        values = np.empty((len(files), 200, 200), np.float32)
        for plane, file in zip(values, files, strict=True):
            ds = pydicom.dcmread(file)
            stored = np.frombuffer(ds.PixelData, "<i2").reshape(ds.Rows, ds.Columns)
            np.multiply(stored, np.float32(ds.RescaleSlope), out=plane)

    return work


def pydicom_pixel_array(folder: Path) -> Work:
    """Read with `pixel_array`, and scale."""
    files = _files(folder)

    def work():
        values = np.empty((len(files), 200, 200), np.float32)
        for plane, file in zip(values, files, strict=True):
            ds = pydicom.dcmread(file)
            np.multiply(ds.pixel_array, np.float32(ds.RescaleSlope), out=plane)

    return work


def dcm2niix(folder: Path) -> Work:
    """Convert the series to NIfTI in Bq/ml (it knows no SUV)."""
    program = str(Path(sys.executable).parent / "dcm2niix")

    def work():
        target = tempfile.mkdtemp()
        command = [program, "-z", "n", "-b", "n", "-f", "pet", "-o", target, str(folder / "pet")]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        shutil.rmtree(target)

    return work


def simpleitk_read(folder: Path) -> Work:
    """Read the series in Bq/ml (it knows no SUV)."""
    import SimpleITK as sitk

    def work():
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder / "pet")))
        reader.SetOutputPixelType(sitk.sitkFloat32)
        sitk.GetArrayFromImage(reader.Execute())

    return work


def highdicom_read(folder: Path) -> Work:
    """Read the series into a volume in Bq/ml (it knows no SUV)."""
    from highdicom import get_volume_from_series

    files = _files(folder)
    return lambda: get_volume_from_series([pydicom.dcmread(file) for file in files])


def mirp_read(folder: Path) -> Work:
    """Read the series in SUV."""
    from mirp import extract_images

    return lambda: _quiet(
        lambda: extract_images(
            image=str(folder / "pet"), image_modality="pet", image_export_format="numpy", export_images=True
        )
    )


def zrad_read(folder: Path) -> Work:
    """Read the series in SUV."""
    from zrad.image import Image

    return lambda: _quiet(lambda: Image.from_dicom(str(folder / "pet"), "PET"))


def pycerr_read(folder: Path) -> Work:
    """Read the series in SUV."""
    from cerr import plan_container

    return lambda: _quiet(lambda: plan_container.loadDcmDir(str(folder / "pet"), {"suvType": "BW"}))


# ------------------------------------------------------------------------------------------ regions
def highdicom_seg(name: str) -> Callable[[Path], Work]:
    """Read a SEG and place all its segments on the grid of the series."""

    def prepare(folder: Path) -> Work:
        import highdicom

        headers = [pydicom.dcmread(file, stop_before_pixels=True) for file in _files(folder)]
        headers.sort(key=lambda ds: ds.ImagePositionPatient[2])
        uids = [ds.SOPInstanceUID for ds in headers]

        def work():
            document = highdicom.seg.segread(folder / name / "seg.dcm")
            document.get_pixels_by_source_instance(
                uids, ignore_spatial_locations=False, assert_missing_frames_are_empty=True
            )

        return work

    return prepare


def zrad_seg(folder: Path) -> Work:
    """Read all segments of the sparse SEG."""
    from zrad.image import Image

    image = _quiet(lambda: Image.from_dicom(str(folder / "pet"), "PET"))
    path = str(folder / "seg_sparse" / "seg.dcm")
    return lambda: _quiet(
        lambda: [Image.from_dicom_mask(path, name, image, str(folder / "pet")) for name in REGIONS]
    )


def pydicom_rtstruct(folder: Path) -> Work:
    """Only parse the structure set and its points."""

    def work():
        ds = pydicom.dcmread(folder / "rtstruct" / "rtstruct.dcm")
        for roi in ds.ROIContourSequence:
            for contour in roi.ContourSequence:
                np.array(contour.ContourData, float)

    return work


def rt_utils(folder: Path) -> Work:
    """Rasterise all regions of the structure set (the series is read anew: its interface wants it so)."""
    from rt_utils import RTStructBuilder

    def work():
        path = str(folder / "rtstruct" / "rtstruct.dcm")
        structure = RTStructBuilder.create_from(str(folder / "pet"), path)
        for name in structure.get_roi_names():
            structure.get_roi_mask_by_name(name)

    return work


# ------------------------------------------------------------------------------------------ metrics
def peak_convolution(folder: Path) -> Work:
    """SUVpeak of ten lesions by convolving the whole volume."""
    from scipy import ndimage

    volume, masks = _volume(folder), _masks(folder, LESIONS)
    kernel = _sphere(_spacing(folder)).astype(np.float32)
    kernel /= kernel.sum()

    def work():
        means = ndimage.convolve(volume, kernel, mode="nearest")
        return {name: float(means[mask].max()) for name, mask in masks.items()}

    return work


def peak_fft(folder: Path) -> Work:
    """SUVpeak of ten lesions by FFT of the whole volume."""
    from scipy.signal import fftconvolve

    volume, masks = _volume(folder), _masks(folder, LESIONS)
    kernel = _sphere(_spacing(folder)).astype(np.float32)
    kernel /= kernel.sum()

    def work():
        means = fftconvolve(volume, kernel, mode="same")
        return {name: float(means[mask].max()) for name, mask in masks.items()}

    return work


def pyradiomics_first_order(folder: Path) -> Work:
    """First-order statistics of all regions."""
    import SimpleITK as sitk
    from radiomics import featureextractor

    logging.getLogger("radiomics").setLevel(logging.ERROR)
    image = sitk.GetImageFromArray(_volume(folder))
    spacing = [float(step) for step in _spacing(folder)[::-1]]
    image.SetSpacing(spacing)
    masks = []
    for mask in _masks(folder).values():
        masks.append(sitk.GetImageFromArray(mask.astype(np.uint8)))
        masks[-1].SetSpacing(spacing)
    extractor = featureextractor.RadiomicsFeatureExtractor()
    extractor.disableAllFeatures()
    extractor.enableFeatureClassByName("firstorder")
    return lambda: [extractor.execute(image, mask) for mask in masks]


def _seeds(folder: Path) -> tuple[np.ndarray, list[tuple[int, ...]]]:
    volume = _volume(folder)
    hottest = []
    for mask in _masks(folder, LESIONS).values():
        inside = np.where(mask, volume, -1)
        hottest.append(np.unravel_index(int(inside.argmax()), volume.shape))
    return volume, hottest


def growing_scipy(folder: Path) -> Work:
    """Grow ten lesions at 41 % by labelling the whole volume."""
    from scipy import ndimage

    volume, seeds = _seeds(folder)

    def work():
        for seed in seeds:
            labels, _ = ndimage.label(volume >= 0.41 * volume[seed], structure=np.ones((3, 3, 3)))
            np.count_nonzero(labels == labels[seed])

    return work


def growing_cc3d(folder: Path) -> Work:
    """Grow ten lesions at 41 % with connected-components-3d."""
    import cc3d

    volume, seeds = _seeds(folder)

    def work():
        for seed in seeds:
            labels = cc3d.connected_components(volume >= 0.41 * volume[seed], connectivity=26)
            np.count_nonzero(labels == labels[seed])

    return work


def growing_simpleitk(folder: Path) -> Work:
    """Grow ten lesions at 41 % with ConnectedThreshold."""
    import SimpleITK as sitk

    volume, seeds = _seeds(folder)
    image = sitk.GetImageFromArray(volume)

    def work():
        for seed in seeds:
            at = [int(index) for index in seed[::-1]]
            low, full = float(0.41 * volume[seed]), sitk.ConnectedThresholdImageFilter.FullConnectivity
            grown = sitk.ConnectedThreshold(image, [at], low, 1e30, 1, full)
            np.count_nonzero(sitk.GetArrayViewFromImage(grown))

    return work


# ----------------------------------------------------------------------------------------- end to end
def mirp_cropped(folder: Path) -> Work:
    """From DICOM and NIfTI masks to statistics and peaks of all regions, cropped to each."""
    return _mirp(folder, 10.0)  # mm: the least that leaves the peak sphere whole


def mirp_default(folder: Path) -> Work:
    """Do the same without cropping, as MIRP does by default."""
    return _mirp(folder, None)


def _mirp(folder: Path, crop_mm: float | None) -> Work:
    import mirp  # noqa: F401  (its import is not timed)
    from mirp_values import extract

    masks = [str(folder / "nifti" / f"{name}.nii.gz") for name in REGIONS]
    return lambda: _quiet(lambda: extract(str(folder / "pet"), masks, crop_mm))


def zrad_run(folder: Path) -> Work:
    """From DICOM and SEG to statistics and peaks of all regions."""
    from zrad.image import Image
    from zrad.preprocessing.roi import IntensityMaskBuilder, RoiData
    from zrad.radiomics.extractor import Radiomics

    path, series = str(folder / "seg_sparse" / "seg.dcm"), str(folder / "pet")

    def run():
        image, found = Image.from_dicom(series, "PET"), {}
        for name in REGIONS:
            mask = Image.from_dicom_mask(path, name, image, series)
            roi = IntensityMaskBuilder().apply(RoiData(image=image, morphological_mask=mask))
            values = Radiomics().extract_features(roi, families=["local_intensity", "intensity_statistics"])
            found[name] = {key: float(value) for key, value in values.items()}
        return found

    return lambda: _quiet(run)


def pycerr_run(folder: Path) -> Work:
    """From DICOM and SEG to statistics of all regions (it has no SUVpeak)."""
    from cerr import plan_container
    from cerr.contour import rasterseg

    def run():
        paths = [str(folder / "pet"), str(folder / "seg_sparse")]
        plan = plan_container.loadDcmDir(paths, {"suvType": "BW"})
        values, found = plan.scan[0].getScanArray(), {}
        for number, structure in enumerate(plan.structure):
            inside = values[rasterseg.getStrMask(number, plan) > 0]
            found[structure.structureName] = {
                "suv_max": float(inside.max()),
                "suv_mean": float(inside.mean()),
                "suv_sd": float(inside.std()),
            }
        return found

    return lambda: _quiet(run)


def _quiet(work: Work) -> Any:
    """Run without what a peer prints."""
    import contextlib

    logging.disable(logging.CRITICAL)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return work()


CONTENDERS: dict[str, Callable[[Path], Work]] = {
    "pydicom headers": pydicom_headers,
    "pydicom + frombuffer": pydicom_frombuffer,
    "pydicom + pixel_array": pydicom_pixel_array,
    "dcm2niix": dcm2niix,
    "SimpleITK": simpleitk_read,
    "highdicom": highdicom_read,
    "MIRP": mirp_read,
    "z-rad": zrad_read,
    "pyCERR": pycerr_read,
    "highdicom sparse SEG": highdicom_seg("seg_sparse"),
    "highdicom full SEG": highdicom_seg("seg_full"),
    "z-rad sparse SEG": zrad_seg,
    "pydicom parses RTSTRUCT": pydicom_rtstruct,
    "rt-utils RTSTRUCT": rt_utils,
    "scipy convolve": peak_convolution,
    "scipy fftconvolve": peak_fft,
    "pyradiomics first order": pyradiomics_first_order,
    "scipy label": growing_scipy,
    "cc3d": growing_cc3d,
    "SimpleITK ConnectedThreshold": growing_simpleitk,
    "MIRP cropped": mirp_cropped,
    "MIRP default": mirp_default,
    "z-rad run": zrad_run,
    "pyCERR run": pycerr_run,
}
