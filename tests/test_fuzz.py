"""Mutated files: a picture or model file may be anything, and is read or refused in one line."""

from __future__ import annotations

import io
import random
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, features

from fast_style.checkpoint import ModelFileError, load_style_model, save_style_model
from fast_style.image import read_clip
from fast_style.network import build_network
from fast_style.picture import Clip, Picture, PictureError
from fast_style.writing import WRITABLE, encode_clip

NETWORK = {"name": "johnson", "channels": [4, 4, 4], "residual_blocks": 1}
PICTURES = 1_600  # mutated files of each kind of file together
MODELS = 400


def mutated(data: bytes, random_: random.Random) -> bytes:
    """Return a file's bytes cut, overwritten, repeated, or with a few of them changed."""
    changed = bytearray(data)
    kind = random_.randrange(5)
    place = random_.randrange(len(changed))
    # Half of the changes hit the header, where they do most.
    place = place % 200 if random_.random() < 0.5 else place
    if kind == 0:
        return bytes(changed[:place])
    if kind == 1:
        del changed[place : place + random_.randrange(1, 50)]
    elif kind == 2:
        changed[place:place] = changed[place : place + random_.randrange(1, 50)]
    elif kind == 3:
        changed[place : place + 4] = random_.choice((b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff"))
    else:
        for _ in range(random_.randrange(1, 20)):
            changed[(place + random_.randrange(64)) % len(changed)] = random_.randrange(256)
    return bytes(changed)


def pictures() -> list[bytes]:
    """Return small files of every type, plain and with all that they may hold."""
    pixels = np.random.default_rng(0).integers(0, 256, (40, 36, 4), dtype=np.uint8)
    image = Image.fromarray(pixels)
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Maker", 6
    kinds = ["PNG", "WEBP", "TIFF", *(["AVIF"] if features.check("avif") else [])]
    files = []
    for kind, mode in [*((k, m) for k in kinds for m in ("RGB", "RGBA")), ("JPEG", "RGB")]:
        files.append((kind, image.convert(mode), {"exif": exif.tobytes()}))
    files += [("GIF", image.convert("P"), {}), ("BMP", image.convert("RGB"), {})]
    files += [("PPM", image.convert("RGB"), {}), ("PNG", image.convert("P"), {})]
    files += [("PNG", Image.fromarray(pixels[..., 0].astype(np.uint16) * 257), {})]
    result = []
    for kind, picture, options in files:
        buffer = io.BytesIO()
        picture.save(buffer, format=kind, **options)
        result.append(buffer.getvalue())
    deep = Clip([Picture(torch.rand(1, 3, 40, 36), torch.rand(1, 1, 40, 36), exif.tobytes())])
    levels = torch.from_numpy(pixels).permute(2, 0, 1)[None, :3]
    still = Picture(levels, torch.rand(1, 1, 40, 36))
    moving = Clip([still, still._replace(levels=255 - levels)], [100, 50], loop=0)
    result += [encode_clip(deep, suffix) for suffix in (".png", ".tif")]
    result += [encode_clip(moving, suffix) for suffix in (".gif", ".webp", ".png")]
    if ".heic" in WRITABLE:
        result.append(encode_clip(Clip([still]), ".heic"))
    return result


def models(folder: Path) -> list[bytes]:
    """Return a model in each of the types of files that are read."""
    network = build_network(NETWORK)
    header = {"network": NETWORK, "style": {"name": "mine"}}
    save_style_model(folder / "model.safetensors", network, header)
    state = {f"network.{key}": value for key, value in network.state_dict().items()}
    torch.save({"state_dict": state, "fast_style": header}, folder / "model.ckpt")
    for path in folder.glob("model.*"):
        load_style_model(path)
    return [path.read_bytes() for path in sorted(folder.glob("model.*"))]


def feed(
    files: list[bytes],
    count: int,
    path: Callable[[int], Path],
    read: Callable[[Path], object],
    refusal: type[Exception],
) -> tuple[int, int]:
    """Read mutated files; return how many were read and how many refused."""
    random_ = random.Random(0)
    done, unnamed = 0, 0
    refusals: list[str] = []
    for number in range(count):
        kind = number % len(files)
        target = path(kind)
        target.write_bytes(mutated(files[kind], random_))
        try:
            read(target)
            done += 1
        except refusal as error:
            refusals.append(str(error))
            unnamed += str(target) not in refusals[-1]
    assert not unnamed
    return done, len(refusals)


def test_mutated_pictures(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Pillow's plug-ins
        done, refused = feed(
            pictures(), PICTURES, lambda kind: tmp_path / f"{kind}.png", read_clip, PictureError
        )
    assert done + refused == PICTURES
    assert done > PICTURES // 10  # a mutation of pixels is no damage that can be seen
    assert refused > PICTURES // 10
    assert "Traceback" not in capfd.readouterr().err


def test_mutated_models(tmp_path: Path) -> None:
    files = models(tmp_path)
    suffixes = [path.suffix for path in sorted(tmp_path.glob("model.*"))]
    done, refused = feed(
        files,
        MODELS,
        lambda kind: tmp_path / f"mutated{suffixes[kind]}",
        load_style_model,
        ModelFileError,
    )
    assert done + refused == MODELS
    assert done > MODELS // 100
    assert refused > MODELS // 10
