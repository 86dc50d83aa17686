"""What a video file says beside its pictures and sound: title, date, place, languages, chapters.

Knows PyAV.
"""

from __future__ import annotations

import re
from typing import Any

# Tags about the file that was read, wrong for another file. The last line: of Matroska's streams.
OF_THE_FILE = re.compile(
    r"major_brand|minor_version|compatible_brands|encoder|vendor_id|timecode|rotate"
    r"|(bps|duration|number_of_frames|number_of_bytes|_statistics_\w+)(-\w+)?",
    re.IGNORECASE,
)
DATE = "creation_time"  # MP4 and MOV may have it twice, which FFmpeg 9 reads as "a;a"
DEFAULT_HANDLERS = ("VideoHandler", "SoundHandler")  # that FFmpeg writes where there is none
UNKNOWN_LANGUAGE = "und"
# The languages for which ISO 639-2 has two codes, of which MOV knows only the second.
MOV_LANGUAGES = {
    **{"ces": "cze", "cym": "wel", "deu": "ger", "ell": "gre", "eus": "baq", "fas": "per"},
    **{"fra": "fre", "hye": "arm", "isl": "ice", "kat": "geo", "mkd": "mac", "msa": "may"},
    **{"mya": "bur", "nld": "dut", "ron": "rum", "slk": "slo", "sqi": "alb", "zho": "chi"},
}
# Keys that phones write, as com.apple.quicktime.make: MP4 and MOV hold them in a form of its own.
FULL_KEY = "com."
LATEST_S = 10**9  # of a chapter: Matroska counts in nanoseconds


def tags_as_bytes() -> dict[str, Any]:
    """Return the arguments of ``av.open`` with which tags stay byte for byte, UTF-8 or not."""
    import av

    is_old = int(av.__version__.partition(".")[0]) < 19  # since then they always do
    return {"metadata_errors": "surrogateescape"} if is_old else {}


def film_tags(film: Any) -> dict[str, str]:
    """Return what of PyAV's ``film`` stays with a painted one: title, date, place, camera, ..."""
    kept = _kept(film.metadata)
    if film.format.name == "ogg":  # where the file's tags are its first stream's
        for stream in film.streams.video[:1]:
            kept = _kept(stream.metadata) | kept
    return kept


def stream_tags(stream: Any, container: str) -> dict[str, str]:
    """Return what stays with a stream: language, title, ..., in the keys of a container."""
    kept = _kept(stream.metadata)
    if kept.get("language") == UNKNOWN_LANGUAGE:
        del kept["language"]
    if container == "mov":
        kept |= {k: MOV_LANGUAGES.get(v, v) for k, v in kept.items() if k == "language"}
    if kept.get("handler_name") in DEFAULT_HANDLERS:
        del kept["handler_name"]
    if "name" in kept:  # what a title is in MP4
        kept.setdefault("title", kept.pop("name"))
    if "title" in kept and container in ("mp4", "mov"):  # where players look for it
        kept.setdefault("handler_name", kept["title"])
    return kept


def need_full_keys(tags: dict[str, str]) -> bool:
    """Whether MP4 and MOV hold tags only by their full keys."""
    return any(key.startswith(FULL_KEY) for key in tags)


def chapters(film: Any) -> list[Any]:
    """Return the chapters of PyAV's ``film`` that have a length, with their titles."""
    return [
        one | {"id": number}
        for number, one in enumerate(film.chapters(), 1)
        if one["time_base"]
        and 0 <= one["start"] < one["end"]
        and one["end"] * one["time_base"] < LATEST_S
    ]


def _kept(tags: dict[str, str]) -> dict[str, str]:
    # Matroska's keys are capitals. Of Apple's this name is the only one that has some.
    lower = {
        key.lower().replace("iso6709", "ISO6709") if key.isupper() else key: value
        for key, value in tags.items()
    }
    if DATE in lower:
        lower[DATE] = lower[DATE].partition(";")[0]
    return {key: value for key, value in lower.items() if not OF_THE_FILE.fullmatch(key)}
