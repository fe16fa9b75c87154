"""Body sizes that normalise uptake: weight, lean body mass, ideal weight, surface area.

Formulas are named by author because "LBM" has meant three of them. Weight in kg, height in m. Sex-specific
ones take ``"M"``, ``"F"`` or ``"O"``; for O the mean of the male and the female value is used (IBSI-SUV).
"""

from __future__ import annotations

from collections.abc import Callable

from analysis.pet.codes import SeriesRefused, say_code

NORMALISATIONS = ("bw", "lbm_james128", "lbm_janma", "bsa", "ibw")
"""What ``load_pet`` can produce. Morgan's (``lbm_morgan120``) is only read, where a scanner used it."""

# Body mass index at which James's parabola turns: a H^2 / (2 b) with (a, b) of each sex.
_JAMES_VERTEX_BMI = {"M": 1.10 * 1e4 / (2 * 128), "F": 1.07 * 1e4 / (2 * 148)}


def _by_sex(sex: str | None, male: float, female: float) -> float:
    if sex == "O":
        return (male + female) / 2
    if sex not in {"M", "F"}:
        raise SeriesRefused(
            "SEX_MISSING",
            f"lean and ideal body mass need PatientSex (0010,0040) M, F or O, found "
            f"{say_code(sex or '', 'sex')}; "
            "complete the header, or use normalisation 'bw' or 'bsa'",
        )
    return male if sex == "M" else female


def _quadratic(weight_kg: float, height_m: float, sex: str | None, male_coefficient: float) -> float:
    ratio2 = (weight_kg / (100 * height_m)) ** 2
    return _by_sex(sex, 1.10 * weight_kg - male_coefficient * ratio2, 1.07 * weight_kg - 148 * ratio2)


def lean_mass_james_kg(weight_kg: float, height_m: float, sex: str | None) -> float:
    """Compute lean body mass in kg after James 1976 (male coefficient 128).

    A parabola: beyond its vertex lean mass falls while weight rises (see `beyond_james_vertex`).

    Parameters
    ----------
    weight_kg, height_m : float
        Body weight in kg and height in m.
    sex : {"M", "F", "O"}
        O is the mean of both formulas.

    Returns
    -------
    float
        Lean body mass in kg.

    Examples
    --------
    >>> round(lean_mass_james_kg(70, 1.75, "M"), 2)
    56.52
    """
    return _quadratic(weight_kg, height_m, sex, 128)


def lean_mass_morgan_kg(weight_kg: float, height_m: float, sex: str | None) -> float:
    """Compute lean body mass in kg with Morgan's coefficient 120; only to read what a scanner wrote.

    Parameters
    ----------
    weight_kg, height_m : float
        Body weight in kg and height in m.
    sex : {"M", "F", "O"}
        O is the mean of both formulas.

    Returns
    -------
    float
        Lean body mass in kg.
    """
    return _quadratic(weight_kg, height_m, sex, 120)


def lean_mass_janmahasatian_kg(weight_kg: float, height_m: float, sex: str | None) -> float:
    """Compute lean body mass in kg after Janmahasatian 2005 (EANM 2.0).

    Parameters
    ----------
    weight_kg, height_m : float
        Body weight in kg and height in m.
    sex : {"M", "F", "O"}
        O is the mean of both formulas.

    Returns
    -------
    float
        Lean body mass in kg, rising with weight throughout.

    Examples
    --------
    >>> round(lean_mass_janmahasatian_kg(70, 1.75, "F"), 4)
    45.197
    """
    bmi = weight_kg / height_m**2
    return _by_sex(sex, 9270 * weight_kg / (6680 + 216 * bmi), 9270 * weight_kg / (8780 + 244 * bmi))


def ideal_weight_kg(weight_kg: float, height_m: float, sex: str | None) -> float:
    """Compute ideal body weight in kg after Sugawara 1999, not clipped to the weight (IBSI-SUV).

    Parameters
    ----------
    weight_kg, height_m : float
        Body weight in kg (not used: one signature for all formulas) and height in m.
    sex : {"M", "F", "O"}
        O is the mean of both formulas.

    Returns
    -------
    float
        Ideal body weight in kg.
    """
    del weight_kg
    above = 100 * height_m - 152
    return _by_sex(sex, 48.0 + 1.06 * above, 45.5 + 0.91 * above)


def surface_area_m2(weight_kg: float, height_m: float) -> float:
    """Compute body surface area in m2 after Du Bois 1916.

    Parameters
    ----------
    weight_kg, height_m : float
        Body weight in kg and height in m.

    Returns
    -------
    float
        Body surface area in m2.

    Examples
    --------
    >>> round(surface_area_m2(70, 1.75), 5)
    1.84814
    """
    return 0.007184 * weight_kg**0.425 * (100 * height_m) ** 0.725


def beyond_james_vertex(weight_kg: float, height_m: float, sex: str | None) -> bool:
    """Tell whether James's formula is past its maximum (BMI 42.97 male, 36.15 female) and so too small.

    Parameters
    ----------
    weight_kg, height_m : float
        Body weight in kg and height in m.
    sex : {"M", "F", "O"}
        For O the lower of both limits holds.

    Returns
    -------
    bool
        True where the formula must not be used.
    """
    limit = _JAMES_VERTEX_BMI.get(sex or "", min(_JAMES_VERTEX_BMI.values()))
    return weight_kg / height_m**2 > limit


def normaliser(name: str, weight_kg: float, height_m: float | None = None, sex: str | None = None) -> float:
    """Compute what multiplies concentration over activity: grams (bw, lbm, ibw) or cm2 (bsa).

    ``SUV_a / SUV_b = normaliser(a) / normaliser(b)`` for the same scan.

    Parameters
    ----------
    name : str
        One of `NORMALISATIONS`, or ``lbm_morgan120``.
    weight_kg : float
        Body weight in kg.
    height_m : float, optional
        Body height in m; not needed for ``bw``.
    sex : {"M", "F", "O"}, optional
        Not needed for ``bw`` and ``bsa``.

    Returns
    -------
    float
        Body size in g, or in cm2 for ``bsa``.

    Raises
    ------
    SeriesRefused
        ``HEIGHT_MISSING`` or ``SEX_MISSING`` where the formula needs them, ``BODY_SIZE_INVALID`` where it
        gives nothing above 0.

    Examples
    --------
    >>> normaliser("bw", 70.0)
    70000.0
    """
    if name == "bw":
        return weight_kg * 1000
    if height_m is None:
        raise SeriesRefused(
            "HEIGHT_MISSING",
            f"normalisation {name!r} needs PatientSize (0010,1020) in m, found none; complete the header "
            f"or use 'bw'",
        )
    if name == "bsa":
        return surface_area_m2(weight_kg, height_m) * 1e4
    mass_kg = _LEAN[name](weight_kg, height_m, sex)
    if mass_kg <= 0:
        raise SeriesRefused(
            "BODY_SIZE_INVALID",
            f"formula {name!r} gives {mass_kg:.4g} kg at {weight_kg:g} kg and {height_m:g} m, outside of "
            "what it was made for; use 'bw' or 'bsa'",
        )
    return mass_kg * 1000


_LEAN: dict[str, Callable[[float, float, str | None], float]] = {
    "lbm_james128": lean_mass_james_kg,
    "lbm_janma": lean_mass_janmahasatian_kg,
    "lbm_morgan120": lean_mass_morgan_kg,
    "ibw": ideal_weight_kg,
}
