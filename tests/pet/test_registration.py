"""A known movement applied to an image is found again; what cannot be laid over is refused.

All pairs here are constructed: one image, moved.
"""

from dataclasses import dataclass

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from analysis import plan as plans
from analysis.pet import load_pet
from analysis.pet.codes import RegistrationRefused
from analysis.pet.registration import register

RULES = plans.defaults().pet


@dataclass
class Image:
    """What registration reads of a PET."""

    values: np.ndarray
    affine: np.ndarray
    spacing_mm: np.ndarray


def body():
    """A trunk with liver, spleen, heart and a hot lesion, 8 mm voxels, upright in LPS."""
    z, y, x = np.meshgrid(8.0 * np.arange(70), 8.0 * np.arange(40), 8.0 * np.arange(48), indexing="ij")
    suv = np.zeros(z.shape, np.float32)

    def ellipsoid(x0, y0, z0, a, b, c, value):
        suv[((x - x0) / a) ** 2 + ((y - y0) / b) ** 2 + ((z - z0) / c) ** 2 <= 1] = value

    ellipsoid(190, 160, 280, 160, 100, 250, 0.7)
    ellipsoid(130, 150, 300, 70, 60, 60, 2.2)
    ellipsoid(270, 180, 290, 30, 35, 50, 1.8)
    ellipsoid(210, 130, 400, 40, 40, 45, 2.6)
    ellipsoid(150, 190, 120, 14, 14, 14, 15.0)
    affine = np.eye(4)
    affine[:3, :3] = 8.0 * np.eye(3)[::-1]
    return Image(ndimage.gaussian_filter(suv, 0.5), affine, np.full(3, 8.0))


def moved(image, degrees, shift, *, slices=slice(None), noise=0.05):
    """Resample an image moved by a rotation about its middle and a shift; returns it and the movement."""
    rotation = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    middle = image.affine[:3, :3] @ ((np.array(image.values.shape) - 1) / 2) + image.affine[:3, 3]
    offset = middle + np.asarray(shift, float) - rotation @ middle
    affine = image.affine.copy()
    affine[:3, 3] += shift
    index = np.argwhere(np.ones(image.values.shape, bool))
    source = (index @ affine[:3, :3].T + affine[:3, 3] - offset) @ rotation
    source = np.linalg.solve(image.affine[:3, :3], (source - image.affine[:3, 3]).T)
    values = ndimage.map_coordinates(image.values, source, order=1).reshape(image.values.shape)
    grain = np.random.default_rng(1).standard_normal(values.shape)
    values = np.maximum(values * (1 + noise * grain), 0).astype(np.float32)[slices]
    affine[:3, 3] += affine[:3, 0] * (slices.start or 0)
    return Image(np.ascontiguousarray(values), affine, image.spacing_mm), rotation, offset


def worst_mm(image, found, rotation, offset):
    inside = np.argwhere(image.values > 0.5)[::50]
    points = inside @ image.affine[:3, :3].T + image.affine[:3, 3]
    return float(np.linalg.norm(found.to_followup(points) - (points @ rotation.T + offset), axis=1).max())


@pytest.mark.parametrize(
    ("degrees", "shift", "slices"),
    [
        ((0, 0, 0), (0, 0, 0), slice(None)),
        ((0, 0, 0), (30, -15, 90), slice(None)),
        ((4, -3, 5), (10, 20, -40), slice(None)),
        ((0, 3, 0), (0, 0, 0), slice(20, None)),
    ],
)
def test_a_known_movement_is_found_to_a_fraction_of_a_voxel(degrees, shift, slices):
    image = body()
    other, rotation, offset = moved(image, degrees, shift, slices=slices)
    found = register(image, other, RULES)
    assert worst_mm(image, found, rotation, offset) < 2.0
    points = np.array([[10.0, 20, 30], [200, 100, 50]])
    np.testing.assert_allclose(found.to_baseline(found.to_followup(points)), points, atol=1e-9)
    turn = Rotation.from_euler("xyz", degrees, degrees=True).magnitude()
    assert found.quality["rotation_degrees"] == pytest.approx(np.degrees(turn), abs=0.5)
    assert found.quality["overlap"] > 0.95


def test_a_lesion_that_vanishes_does_not_drive_it():
    image = body()
    other, rotation, offset = moved(image, (0, 0, 0), (12, 0, 20))
    other.values[other.values > 3] = 0.7
    assert worst_mm(image, register(image, other, RULES), rotation, offset) < 2.0


def test_two_runs_give_the_same_bytes():
    image = body()
    other, *_ = moved(image, (2, 0, 3), (12, 5, 20))
    one, two = register(image, other, RULES), register(image, other, RULES)
    assert (
        one.rotation.tobytes() == two.rotation.tobytes() and one.shift_mm.tobytes() == two.shift_mm.tobytes()
    )
    assert one.quality == two.quality


def refused(*images, **changes):
    rules = plans.defaults().override({f"pet.{name}": value for name, value in changes.items()}).pet
    with pytest.raises(RegistrationRefused) as error:
        register(*images, rules)
    assert error.value.code == "REGISTRATION_FAILED"
    return error.value.message


def test_what_is_no_body_or_another_one_is_refused():
    image = body()
    assert "no body" in refused(image, Image(np.zeros((20, 20, 20)), image.affine, image.spacing_mm))
    assert "too thin" in refused(image, Image(image.values[:1], image.affine, image.spacing_mm))
    values = np.zeros_like(image.values)
    values[:, 5:12, :] = 1.0  # a board, not a trunk
    refused(image, Image(values, image.affine, image.spacing_mm))


def test_each_limit_of_the_plan_refuses():
    image = body()
    other, *_ = moved(image, (0, 0, 6), (0, 0, 0))
    assert "rotation" in refused(image, other, register_rotation_degrees=5.0)
    assert "Dice" in refused(image, other, register_overlap_min=0.9999)
    assert "correlation" in refused(image, other, register_correlation_min=0.9999)
    half, *_ = moved(image, (0, 0, 0), (0, 0, 0), slices=slice(0, 30))
    assert register(half, image, RULES).quality["common"] > 0.9  # the smaller body is seen whole
    upper, *_ = moved(image, (0, 0, 0), (0, 0, 0), slices=slice(15, None))
    assert "share of the body" in refused(half, upper, register_common_min=0.9)


def test_a_real_scan_moved_by_hand_is_laid_back(shared_data):
    # Constructed: one real examination, resampled after a known movement, with noise.
    pet = load_pet(shared_data / "sarcoma_raw" / "STS_001" / "pet")
    other, rotation, offset = moved(pet, (3, -4, 5), (25, -15, 70), noise=0.1)
    assert worst_mm(pet, register(pet, other, RULES), rotation, offset) < 1.0
