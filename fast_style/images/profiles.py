"""ICC profiles for files that describe their colours by code numbers or by a gamma."""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from fast_style.images.header import Coding

HDR_TRANSFERS = (16, 18)  # PQ and HLG, of ITU-T H.273
HDR_REMARK = "is HDR: its brightness is taken as that of an ordinary picture"
SRGB_GAMMA = 1 / 2.2  # as PNG's gAMA has it
LEAST_GAMMA = 0.05  # smaller ones, and their inverses, are mistakes
GAMMA_TOLERANCE = 0.05  # libpng's: less is no difference
SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)  # IEC 61966-2-1, as ICC's type 3
D50 = (0.9642, 1.0, 0.8249)
# By Lam & Rigg; ICC.1:2022, annex E.
BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)


class Primaries(NamedTuple):
    """CIE x and y of red, green, blue and white."""

    red: tuple[float, float]
    green: tuple[float, float]
    blue: tuple[float, float]
    white: tuple[float, float] = (0.3127, 0.329)


SRGB = Primaries((0.64, 0.33), (0.3, 0.6), (0.15, 0.06))
SMPTE = Primaries((0.63, 0.34), (0.31, 0.595), (0.155, 0.07))
PRIMARIES = {  # of ITU-T H.273; all others are taken as sRGB's
    4: Primaries((0.67, 0.33), (0.21, 0.71), (0.14, 0.08), (0.31, 0.316)),
    5: Primaries((0.64, 0.33), (0.29, 0.6), (0.15, 0.06)),
    6: SMPTE,
    7: SMPTE,
    9: Primaries((0.708, 0.292), (0.17, 0.797), (0.131, 0.046)),
    11: Primaries((0.68, 0.32), (0.265, 0.69), (0.15, 0.06), (0.314, 0.351)),
    12: Primaries((0.68, 0.32), (0.265, 0.69), (0.15, 0.06)),
}
EXPONENTS = {4: 2.2, 5: 2.8, 8: 1.0}  # of ITU-T H.273; all others are taken as sRGB's curve


def profile_of_coding(coding: Coding) -> bytes | None:
    """Return the profile for code numbers of ITU-T H.273; none for sRGB and for HDR."""
    if coding.transfer in HDR_TRANSFERS:
        return None
    primaries = PRIMARIES.get(coding.primaries, SRGB)
    exponent = EXPONENTS.get(coding.transfer)
    return None if primaries == SRGB and exponent is None else _profile(primaries, exponent)


def profile_of_gamma(image: Image.Image) -> bytes | None:
    """Return the profile that a PNG's gAMA and cHRM stand for; none for sRGB, or if it has none."""
    gamma, points = image.info.get("gamma"), image.info.get("chromaticity")
    if "srgb" in image.info or not gamma or not LEAST_GAMMA <= gamma <= 1 / LEAST_GAMMA:
        return None
    primaries = SRGB
    if points and len(points) == 8:
        white, *colours = zip(points[::2], points[1::2], strict=True)
        if not np.allclose((*colours, white), SRGB, atol=0.002) and min(points[1::2]) > 0:
            primaries = Primaries(colours[0], colours[1], colours[2], white)
    is_srgb = abs(gamma / SRGB_GAMMA - 1) < GAMMA_TOLERANCE
    if is_srgb and primaries == SRGB:
        return None
    try:
        return _profile(primaries, None if is_srgb else 1 / gamma)
    except (ValueError, struct.error):  # points that lie on a line, or are far out
        return None


def _profile(primaries: Primaries, exponent: float | None) -> bytes:
    """Return an ICC profile (ICC.1:2022) of these primaries and exponent, or sRGB's curve."""
    tags = {b"wtpt": _xyz(D50)}
    if exponent is None:
        numbers = [_fixed(number) for number in SRGB_CURVE]
        curve = b"para" + bytes(4) + struct.pack(">HH", 3, 0) + b"".join(numbers)
    else:
        curve = b"para" + bytes(4) + struct.pack(">HH", 0, 0) + _fixed(exponent)
    for name, column in zip("rgb", _to_d50(primaries).T, strict=True):
        tags[name.encode() + b"XYZ"] = _xyz(column)
        tags[name.encode() + b"TRC"] = curve
    at = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">L", len(tags)), b""
    for tag, data in tags.items():
        table += tag + struct.pack(">LL", at + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    head = struct.pack(">L4xL4s4s4s", at + len(body), 0x04200000, b"mntr", b"RGB ", b"XYZ ")
    head += struct.pack(">6H4s28x", 2000, 1, 1, 0, 0, 0, b"acsp") + _xyz(D50)[8:]
    return head.ljust(128, b"\0") + table + body


def _to_d50(primaries: Primaries) -> npt.NDArray[np.float64]:
    """Return the matrix from linear colours to XYZ, adapted to the white of profiles, D50."""
    *colours, white = (np.array([x / y, 1.0, (1 - x - y) / y]) for x, y in primaries)
    matrix = np.stack(colours, axis=-1)
    matrix = matrix * np.linalg.solve(matrix, white)
    scale = np.diag((BRADFORD @ D50) / (BRADFORD @ white))
    adapted: npt.NDArray[np.float64] = np.linalg.solve(BRADFORD, scale @ BRADFORD @ matrix)
    return adapted


def _fixed(number: float) -> bytes:
    return struct.pack(">l", round(number * 65536))


def _xyz(values: npt.ArrayLike) -> bytes:
    return b"XYZ " + bytes(4) + b"".join(_fixed(float(value)) for value in np.asarray(values))
