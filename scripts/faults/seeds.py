"""Small whole files of every kind that is read, made from nothing: what the campaign damages."""

from __future__ import annotations

import io
import pickle
import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image, ImageCms, PngImagePlugin, features

from fast_style.films.video import VIDEO_SUFFIXES
from fast_style.images.formats import WRITABLE
from fast_style.images.picture import Clip, Picture
from fast_style.images.writing import encode_clip
from fast_style.models.network import build_network
from fast_style.models.style_file import save_style_model
from fast_style.system.resources import asset, config_folder

SIDES = (40, 36)  # px of a picture, height and width
FILM_SIDE, FRAMES = 64, 5  # px, and how many
NETWORK = {"name": "johnson", "channels": [4, 4, 4], "residual_blocks": 1}
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
    b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
    b'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
)
# By a film's extension: container, codec of the pictures, their format, codec of the sound; what
# has another extension is read, too, whatever it holds.
OTHERS = ("matroska", "mpeg4", "yuv420p", "mp2")
CODECS = {
    ".mp4": ("mp4", "libx264", "yuv420p", "aac"),
    ".m4v": ("mp4", "mpeg4", "yuv420p", ""),
    ".mov": ("mov", "mjpeg", "yuvj420p", "pcm_s16le"),
    ".mkv": ("matroska", "ffv1", "yuv420p", "flac"),
    ".webm": ("webm", "libvpx", "yuv420p", "libopus"),
    ".avi": ("avi", "mpeg4", "yuv420p", "mp2"),
    ".mpg": ("mpeg", "mpeg1video", "yuv420p", "mp2"),
    ".mpeg": ("mpeg", "mpeg2video", "yuv420p", ""),
    ".mts": ("mpegts", "mpeg2video", "yuv420p", "mp2"),
    ".m2ts": ("mpegts", "libx264", "yuv420p", "aac"),
    ".wmv": ("asf", "wmv2", "yuv420p", "wmav2"),
    ".ts": ("mpegts", "mpeg2video", "yuv420p", "ac3"),
    ".flv": ("flv", "flv", "yuv420p", "pcm_s16le"),
    ".3gp": ("3gp", "mpeg4", "yuv420p", "aac"),
    ".ogv": ("ogg", "libtheora", "yuv420p", "flac"),
}


class Seed(NamedTuple):
    """A whole file."""

    name: str
    data: bytes
    suffix: str  # of the files that are made of it


def pictures() -> Iterator[Seed]:
    """Return a file of each format, depth and kind of colours."""
    pixels = np.random.default_rng(0).integers(0, 256, (*SIDES, 4), dtype=np.uint8)
    pixels[8:30, 8:30] = (200, 90, 30, 255)
    whole = Image.fromarray(pixels)
    modes = {mode: whole.convert("RGB").convert(mode) for mode in ("1", "L", "P", "RGB", "CMYK")}
    modes |= {"RGBA": whole, "LA": whole.convert("LA"), "LAB": modes["RGB"].convert("LAB")}
    modes["I;16"] = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
    modes["F"] = Image.fromarray(pixels[..., 0].astype(np.float32) / 255)
    kinds: list[tuple[str, str, str, dict[str, Any]]] = [
        *((".jpg", "JPEG", mode, {}) for mode in ("L", "RGB", "CMYK")),
        (".jpg", "JPEG", "RGB", {"progressive": True, "subsampling": 2}),
        *((".png", "PNG", mode, {}) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")),
        (".png", "PNG", "P", {"transparency": 3, "bits": 4}),
        *((".webp", "WEBP", mode, {"lossless": mode == "RGBA"}) for mode in ("RGB", "RGBA")),
        *((".tif", "TIFF", mode, {}) for mode in modes if mode != "P"),
        *((".tif", "TIFF", "RGB", {"compression": c}) for c in ("tiff_lzw", "jpeg", "packbits")),
        (".tif", "TIFF", "1", {"compression": "group4"}),
        (".tiff", "TIFF", "RGB", {"save_all": True, "append_images": [modes["L"]]}),
        (".gif", "GIF", "P", {}),
        *((".bmp", "BMP", mode, {}) for mode in ("1", "L", "P", "RGB", "RGBA")),
        *((".ppm", "PPM", mode, {}) for mode in ("1", "L", "RGB", "I;16")),
    ]
    if features.check("avif"):
        kinds += [(".avif", "AVIF", mode, {}) for mode in ("RGB", "RGBA")]
    for number, (suffix, form, mode, options) in enumerate(kinds):
        buffer = io.BytesIO()
        modes[mode].save(buffer, format=form, **options)
        yield Seed(f"{number}_{mode}{suffix}", buffer.getvalue(), suffix)
    colors = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    still = Picture(colors[:, :3], colors[:, 3:].float() / 255)
    deep = Picture(still.levels.float() / 255, still.alpha)
    moving = Clip([still, still._replace(levels=255 - still.levels)] * 2, [100] * 4, loop=0)
    for suffix in (".png", ".tif"):
        for name, one in (("alpha", deep), ("plain", deep._replace(alpha=None))):
            yield Seed(f"16_{name}{suffix}", encode_clip(Clip([one]), suffix), suffix)
    for suffix in (".gif", ".webp", ".png", ".avif"):
        if suffix in WRITABLE:
            yield Seed(f"moving{suffix}", encode_clip(moving, suffix), suffix)
    if ".heic" in WRITABLE:
        yield Seed("still.heic", encode_clip(Clip([still]), ".heic"), ".heic")


def films() -> Iterator[Seed]:
    """Return a film of each container that is read and that this FFmpeg writes."""
    import av

    for suffix in VIDEO_SUFFIXES:
        container, codec, pixel_format, sound = CODECS.get(suffix, OTHERS)
        buffer = io.BytesIO()
        try:
            with av.open(buffer, "w", format=container) as film:
                _film(film, codec, pixel_format, sound)
        except (av.FFmpegError, ValueError):
            continue  # a codec that is not in this build
        yield Seed(f"film{suffix}", buffer.getvalue(), suffix)


def _film(film: Any, codec: str, pixel_format: str, sound: str) -> None:
    """Write a square that moves, and a tone."""
    import av

    rate = 48_000
    video = film.add_stream(codec, 25)
    video.width = video.height = FILM_SIDE
    video.pix_fmt = pixel_format
    audio = film.add_stream(sound, rate=rate, layout="mono") if sound else None
    for number in range(FRAMES):
        pixels = np.full((FILM_SIDE, FILM_SIDE, 3), 40, np.uint8)
        pixels[20:40, 8 * number : 8 * number + 20] = (40, 200, 60)
        frame = av.VideoFrame.from_ndarray(pixels, "rgb24")
        frame.pts, frame.time_base = number, Fraction(1, 25)
        film.mux(video.encode(frame))
    film.mux(video.encode(None))
    if audio is not None:
        tone = (np.sin(np.arange(rate // 5) / 17) * 9000).astype(np.int16)[None]
        size = audio.codec_context.frame_size or 1024
        form = audio.codec_context.format
        resampler = av.AudioResampler(form, audio.codec_context.layout, rate, size)
        chunk = av.AudioFrame.from_ndarray(tone, "s16", "mono")
        chunk.sample_rate, chunk.pts = rate, 0
        for part in [*resampler.resample(chunk), *resampler.resample(None)]:
            film.mux(audio.encode(part))
        film.mux(audio.encode(None))


class _Canary:
    """Makes a file when it is unpickled, which no reader may do."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def models(folder: Path, canary: Path) -> Iterator[Seed]:
    """Return style models and VGG16 weights of each kind of file, and pickles that do harm."""
    network = build_network(NETWORK)
    palette = {"matrix": [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], "offset": [0.0] * 3}
    header = {"network": NETWORK, "style": {"name": "mine", "size": 384}, "palette": palette}
    path = folder / "model.safetensors"
    save_style_model(path, network, header)
    yield Seed("model.safetensors", path.read_bytes(), ".safetensors")
    state = {f"network.{key}": value for key, value in network.state_dict().items()}
    whole = {"state_dict": state, "fast_style": header, "optimizer_states": [{"state": {}}]}
    harm = whole | {"fast_style": header | {"harm": _Canary(canary)}}
    theirs = {f"conv1.conv2d.{part}": torch.rand(32) for part in ("weight", "bias")}
    vgg = {f"features.0.{part}": torch.rand(64) for part in ("weight", "bias")}
    for name, content, suffix in (
        ("model", whole, ".ckpt"),
        ("harm", harm, ".ckpt"),
        ("examples", theirs, ".pth"),
        ("vgg", vgg, ".pt"),
    ):
        for legacy in (False, True):
            buffer = io.BytesIO()
            torch.save(content, buffer, _use_new_zipfile_serialization=not legacy)
            yield Seed(f"{name}{'_legacy' * legacy}{suffix}", buffer.getvalue(), suffix)
    yield Seed("bare.ckpt", pickle.dumps(harm, 2), ".ckpt")
    yield Seed("vgg.safetensors", _head_of(asset("vgg16.safetensors")), ".vgg")


def _head_of(path: Path) -> bytes:
    """Return a safetensors file up to its numbers, which readers are given as zeros."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        return struct.pack("<Q", length) + file.read(length)


def yaml() -> Iterator[Seed]:
    """Return the configurations of the package, but for those that say where to go on."""
    for path in sorted(config_folder().glob("*/*.yaml")):
        yield Seed(f"{path.parent.name}_{path.name}", path.read_bytes(), f".{path.parent.name}")


def metadata() -> Iterator[Seed]:
    """Return blocks of EXIF, XMP and colour profiles; ``with_block`` puts them into pictures."""
    exif = Image.Exif()
    exif[0x010E], exif[0x010F], exif[0x0112], exif[0x013B] = "Straße", "Maker", 6, "Zoë"
    exif[0x011A], exif[0x0128] = 300.0, 2
    exif.get_ifd(0x8769).update({0x9003: "2024:01:02 03:04:05", 0x829A: 0.01})
    exif.get_ifd(0x8825).update({0: b"\2\3\0\0", 1: "N", 2: (48.0, 8.0, 10.0)})
    profiles = {"srgb": ImageCms.createProfile("sRGB"), "lab": ImageCms.createProfile("LAB")}
    blocks = {"exif": exif.tobytes(), "xmp": XMP}
    blocks |= {f"icc_{k}": ImageCms.ImageCmsProfile(v).tobytes() for k, v in profiles.items()}
    for name, block in blocks.items():
        suffixes = [".jpg", ".png", ".webp"]
        if features.check("avif") and name != "exif":  # of which Pillow would make another
            suffixes.append(".avif")
        for suffix in suffixes:
            yield Seed(f"{name}{suffix}", block, suffix)


def with_block(name: str, block: bytes, suffix: str) -> bytes:
    """Return a whole picture that carries a block of metadata, whatever it says.

    Args:
        name: Of the seed that the block was.
        block: Damaged or not.
        suffix: Of the picture's file.
    """
    kind = name.partition("_")[0].partition(".")[0]
    image = Image.linear_gradient("L").resize(SIDES[::-1]).convert("RGB")
    options: dict[str, Any] = {{"exif": "exif", "xmp": "xmp", "icc": "icc_profile"}[kind]: block}
    if kind == "xmp" and suffix == ".png":
        info = PngImagePlugin.PngInfo()
        info.add_itxt("XML:com.adobe.xmp", block.decode("latin-1"))
        options = {"pnginfo": info}
    buffer = io.BytesIO()
    image.save(buffer, Image.registered_extensions()[suffix], **options)
    return buffer.getvalue()
