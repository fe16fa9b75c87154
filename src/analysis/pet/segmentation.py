"""Regions of a DICOM SEG: BINARY, FRACTIONAL or LABELMAP, frame by frame.

Most frames of a segmentation are empty, and most of the rest is: frames without a voxel are not unpacked, and
of the others only the part that holds the region is kept.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pydicom
from pydicom.pixels import iter_pixels
from scipy import ndimage

from analysis.pet.codes import RoiRefused
from analysis.pet.frame_groups import Frame, read_frames
from analysis.pet.masks import Placed, Stack, place
from analysis.pet.planes import merge_planes, usual_gap
from analysis.pet.roi_file import RoiFile


class _Piece(NamedTuple):
    frame: int
    row: int
    column: int
    mask: np.ndarray


@dataclass
class _Found:
    """Pieces of each segment, and the sum of its stored values where these are shares of a voxel."""

    pieces: dict[int, list[_Piece]] = field(default_factory=lambda: defaultdict(list))
    occupancy: dict[int, float] = field(default_factory=lambda: defaultdict(float))


def read_segmentation(file: RoiFile, pet, rules) -> dict[str, Placed]:
    """Read every segment of a DICOM SEG.

    Frames are placed by their own position and orientation; the segment of a frame may be named in the shared
    groups. A frame is as thick as Spacing Between Slices says, else Slice Thickness, or as the distance of
    the closest frames where that is less. A segment that holds frames but is not declared is read too,
    flagged ``ROI_SEGMENT_UNDECLARED``.

    Parameters
    ----------
    file : RoiFile
        The segmentation.
    pet : PetImage
        The image whose grid is filled.
    rules : plan section
        Section ``pet`` of the plan (`seg_fraction`, `roi_resample`).

    Returns
    -------
    dict of str to Placed
        By segment label. The source volume of a fractional segment of type OCCUPANCY is the sum of its
        values, otherwise the volume of the voxels that belong.

    Raises
    ------
    RoiRefused
        ``ROI_OTHER_FRAME_OF_REFERENCE``, ``ROI_DUPLICATE_NAME``, ``ROI_OTHER_PLANES``, ``ROI_UNREADABLE``.
    """
    ds = file.header
    flags = _frame_of_reference_flags(ds, pet)
    frames = read_frames(file)
    labels = _labels(ds)
    kind = str(ds.get("SegmentationType") or "BINARY").upper()
    if kind == "FRACTIONAL":
        flags.append(f"ROI_FRACTIONAL_{str(ds.get('SegmentationFractionalType') or 'UNKNOWN').upper()}")
    found = _find_pieces(file, frames, kind, rules)
    gaps_mm = _frame_gaps(frames, rules)
    placed: dict[str, Placed] = {}
    for number in sorted({*labels, *found.pieces} - _background(ds)):
        label, anatomy = labels.get(number, (f"segment {number}", ""))
        if label in placed:
            raise RoiRefused(
                "ROI_DUPLICATE_NAME", "two segments of one segmentation share a label; rename one"
            )
        stack = _stack(found.pieces[number], frames, gaps_mm, rules)
        region, own, source_ml = place(stack, pet, rules)[:3] if stack else _nothing(pet)
        if "ROI_FRACTIONAL_OCCUPANCY" in flags and source_ml:
            source_ml *= found.occupancy[number] / stack.n_voxels
        undeclared = [] if number in labels else ["ROI_SEGMENT_UNDECLARED"]
        placed[label] = Placed(region, [*flags, *undeclared, *own], source_ml, anatomy)
    return placed


def _frame_of_reference_flags(ds: pydicom.Dataset, pet) -> list[str]:
    theirs, ours = str(ds.get("FrameOfReferenceUID") or ""), pet.facts["frame_of_reference_uid"]
    if theirs and ours and theirs != ours:
        raise RoiRefused(
            "ROI_OTHER_FRAME_OF_REFERENCE",
            "the segmentation lies in another frame of reference (0020,0052) than this image; register it "
            "first",
        )
    return [] if theirs and ours else ["ROI_FRAME_OF_REFERENCE_UNKNOWN"]


def _labels(ds: pydicom.Dataset) -> dict[int, tuple[str, str]]:
    """Return segment number -> label and anatomic region."""
    labels = {}
    for segment in ds.SegmentSequence:
        number = int(segment.SegmentNumber)
        codes = segment.get("AnatomicRegionSequence") or []
        anatomy = str(codes[0].get("CodeMeaning") or "") if codes else ""
        labels[number] = str(segment.get("SegmentLabel") or f"segment {number}").strip(), anatomy
    return labels


def _background(ds: pydicom.Dataset) -> set[int]:
    """Return the numbers a label map gives to what is no segment."""
    padding = ds.get("PixelPaddingValue")
    is_map = str(ds.get("SegmentationType") or "").upper() == "LABELMAP"
    return {0, int(padding)} if is_map and padding is not None else {0}


def _nothing(pet) -> tuple:
    empty = Stack(np.zeros(3), np.zeros(3), np.zeros((0, 3)), [], None)
    return place(empty, pet, None)[:3]


def _stack(pieces: list[_Piece], frames: list[Frame], gaps_mm: np.ndarray, rules) -> Stack | None:
    """Put the pieces of one segment where their frames lie."""
    if not pieces:
        return None
    chosen = [frames[piece.frame] for piece in pieces]
    first = chosen[0]
    planes = np.array([(*frame.orientation, *frame.spacing_mm) for frame in chosen])
    places = np.array([frame.position_mm for frame in chosen])
    if not (np.isfinite(planes).all() and np.isfinite(places).all() and min(first.spacing_mm) > 0):
        raise RoiRefused(
            "ROI_UNREADABLE", "a frame of the segmentation has no usable geometry; send it again"
        )
    if np.any(np.abs(planes - planes[0]) > rules.seg_frames_tolerance):
        raise RoiRefused("ROI_OTHER_PLANES", "frames of one segment differ in orientation or spacing")
    row_mm = planes[0, 3:6] * first.spacing_mm[0]
    column_mm = planes[0, :3] * first.spacing_mm[1]
    offset = np.array([(piece.row, piece.column) for piece in pieces])
    origins = places + offset @ np.stack([row_mm, column_mm])
    step_mm = _thickness(first, gaps_mm, rules)
    return Stack(row_mm, column_mm, origins, [piece.mask for piece in pieces], step_mm)


def _thickness(frame: Frame, gaps_mm: np.ndarray, rules) -> float | None:
    """Return the distance of the planes in mm; None where nothing tells it.

    Empty frames are often left out, so a gap between frames may be as wide as lesions lie apart: it may only
    say that planes are closer than the header does.
    """
    stated = next((size for size in (frame.between_mm, frame.thickness_mm) if size and size > 0), None)
    if stated is None:
        enough = len(gaps_mm) + 1 >= rules.contour_spacing_planes
        return usual_gap(gaps_mm, rules.contour_spacing_max_mm) if enough else None
    closer = gaps_mm[gaps_mm < stated * (1 - rules.lattice_step_fraction)]
    if not len(closer):
        return float(stated)
    return float(np.median(closer[np.round(closer / closer.min()) == 1]))


def _frame_gaps(frames: list[Frame], rules) -> np.ndarray:
    """Return the gaps between the planes of the file in mm; none where frames differ in direction."""
    if len({frame.orientation for frame in frames}) != 1:
        return np.zeros(0)
    orientation = np.array(frames[0].orientation)
    normal = np.cross(orientation[:3], orientation[3:])
    along = np.array([frame.position_mm for frame in frames]) @ normal
    return np.diff(merge_planes(along, rules.duplicate_mm)[0])


def _find_pieces(file: RoiFile, frames: list[Frame], kind: str, rules) -> _Found:
    """Go through the frames that are not empty and cut the segments out of them."""
    found = _Found()
    for index, first_row, values in _frames_with_content(file, len(frames)):
        if kind == "LABELMAP":
            for number, box in enumerate(ndimage.find_objects(values), start=1):
                if box is not None:
                    row, column = (edge.start for edge in box)
                    piece = _Piece(index, first_row + row, column, values[box] == number)
                    found.pieces[number].append(piece)
            continue
        number = frames[index].segment
        if number is None:
            raise RoiRefused("ROI_UNREADABLE", "a frame of the segmentation names no segment; send it again")
        if kind == "FRACTIONAL":
            highest = float(file.header.MaximumFractionalValue)
            found.occupancy[number] += float(values.sum(dtype=np.int64)) / highest
            values = values >= max(rules.seg_fraction * highest, 1)
        piece = _cut(index, first_row, values)
        if piece is not None:
            found.pieces[number].append(piece)
    return found


def _cut(index: int, first_row: int, values: np.ndarray) -> _Piece | None:
    rows = np.flatnonzero(values.any(axis=1))
    if not len(rows):
        return None
    values = values[rows[0] : rows[-1] + 1]
    columns = np.flatnonzero(values.any(axis=0))
    mask = values[:, columns[0] : columns[-1] + 1] != 0
    return _Piece(index, first_row + int(rows[0]), int(columns[0]), mask)


def _frames_with_content(file: RoiFile, n_frames: int) -> Iterator[tuple[int, int, np.ndarray]]:
    """Yield index, first row and values of the rows that are not empty, of every frame that is not empty."""
    ds = file.header
    stated = ds.get("NumberOfFrames")
    if stated is not None and int(stated) != n_frames:
        raise RoiRefused(
            "ROI_UNREADABLE", f"{int(stated)} frames announced, {n_frames} described; send the file again"
        )
    if not file.native:
        yield from _decoded(file, n_frames)
        return
    rows, columns, bits = int(ds.Rows), int(ds.Columns), int(ds.BitsAllocated)
    if bits not in (1, 8, 16):
        raise RoiRefused("ROI_UNREADABLE", f"1, 8 or 16 bits a voxel expected, found {bits}")
    content = np.frombuffer(file.pixel_bytes(), np.uint8)
    needed = -(-n_frames * rows * columns * bits // 8)
    if len(content) < needed:
        raise RoiRefused(
            "ROI_UNREADABLE", f"{needed} bytes of pixels expected, found {len(content)}; send the file again"
        )
    unpack = _unpacked_bits if bits == 1 else _unpacked_words
    for index in np.flatnonzero(_touched(content[:needed], n_frames)).tolist():
        found = unpack(content, index, rows, columns, bits)
        if found is not None:
            yield index, *found


def _touched(content: np.ndarray, n_frames: int) -> np.ndarray:
    """Tell which frames may hold something: those that overlap 8 bytes that are not all zero."""
    n_words = len(content) // 8
    hit = np.flatnonzero(content[: n_words * 8].view("<u8")) * 8
    if content[n_words * 8 :].any():
        hit = np.append(hit, n_words * 8)
    frame_bytes = len(content) / n_frames if n_frames else 1.0
    touched = np.zeros(n_frames, bool)
    if frame_bytes < 8:  # several frames in 8 bytes
        touched[:] = True
    for edge in (-1, 0, 7, 8):  # frames need not begin at a byte
        touched[np.clip((hit + edge) / frame_bytes, 0, n_frames - 1).astype(int)] = True
    return touched


def _unpacked_bits(content, index, rows, columns, _) -> tuple[int, np.ndarray] | None:
    """Unpack the rows of a one-bit frame that hold something."""
    size = rows * columns
    begin = index * size // 8
    skip = index * size - begin * 8
    packed = content[begin : -(-(index + 1) * size // 8)]
    hit = np.flatnonzero(packed)
    if not len(hit):
        return None
    first = max(int(hit[0]) * 8 - skip, 0) // columns
    last = min(int(hit[-1]) * 8 + 7 - skip, size - 1) // columns + 1
    start, stop = skip + first * columns, skip + last * columns
    bits = np.unpackbits(packed[start // 8 : -(-stop // 8)], bitorder="little")
    start_bit = start % 8
    return first, bits[start_bit : start_bit + stop - start].reshape(-1, columns)


def _unpacked_words(content, index, rows, columns, bits) -> tuple[int, np.ndarray] | None:
    """Return the rows of a frame of 8 or 16 bits, if it holds something."""
    n_bytes = rows * columns * bits // 8
    frame = content[index * n_bytes : (index + 1) * n_bytes]
    hit = np.flatnonzero(frame)
    if not len(hit):
        return None
    row_bytes = columns * bits // 8
    first, last = int(hit[0]) // row_bytes, int(hit[-1]) // row_bytes + 1
    part = frame[first * row_bytes : last * row_bytes].view(f"<u{bits // 8}")
    return first, np.array(part).reshape(-1, columns)


def _decoded(file: RoiFile, n_frames: int) -> Iterator[tuple[int, int, np.ndarray]]:
    """Let pydicom decode compressed or big endian frames, one at a time."""
    decoded = -1
    try:
        for decoded, frame in enumerate(iter_pixels(file.header, raw=True)):
            if decoded < n_frames and frame.any():
                yield decoded, 0, frame
    except Exception as error:  # one error type per decoder
        raise RoiRefused(
            "ROI_UNREADABLE", "the pixels of the segmentation cannot be decoded; send it again"
        ) from error
    if decoded + 1 != n_frames:
        raise RoiRefused(
            "ROI_UNREADABLE", f"{n_frames} frames described, {decoded + 1} found; send the file again"
        )
