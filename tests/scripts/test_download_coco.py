"""scripts/download_coco.py against a server on this machine that resumes, refuses or hangs up."""

from __future__ import annotations

import contextlib
import hashlib
import io
import shutil
import socket
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

SPLIT = "val2017"
PHOTOGRAPHS = {f"{index:012d}.jpg": bytes([index]) * (9000 + index) for index in range(1, 6)}


def make_zip(members: dict[str, bytes]) -> bytes:
    """Return a zip, its members stored as they are so that it has some size."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.mkdir(SPLIT)
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


class Handler(BaseHTTPRequestHandler):
    """Serve ``server.body`` as the server's switches say and note what was asked for."""

    server: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        server, asked = self.server, self.headers.get("Range")
        server.requests.append((self.path, asked))
        if server.codes:
            return self.answer(server.codes.pop(0), b"")
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        if start >= len(server.body) and server.ranges:
            return self.answer(416, b"")
        if asked and server.ranges:
            sent = f"bytes {start}-{len(server.body) - 1}/{len(server.body)}"
            return self.answer(206, server.body[start:], sent)
        return self.answer(200, server.body)

    def answer(self, code: int, body: bytes, content_range: str | None = None) -> None:
        """Send an answer, late or cut short where the server's switches say so."""
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        if content_range:
            self.send_header("Content-Range", content_range)
        self.end_headers()
        drops, pauses = self.server.drops, self.server.pauses
        with contextlib.suppress(ConnectionError):  # who waits too long finds nobody there
            if body and pauses:
                time.sleep(pauses.pop(0))
            self.wfile.write(body[: drops.pop(0)] if body and drops else body)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """What the tests set (body, ranges, drops, pauses, codes) and read (requests)."""

    daemon_threads = False  # so that closing it waits for the connections

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.body = make_zip({f"{SPLIT}/{name}": data for name, data in PHOTOGRAPHS.items()})
        self.ranges = True
        self.drops: list[int] = []
        self.pauses: list[float] = []
        self.codes: list[int] = []
        self.requests: list[tuple[str, str | None]] = []

    def publish(self, coco: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
        """Make what is served now the archive that the script expects."""
        md5 = hashlib.md5(self.body).hexdigest()
        monkeypatch.setitem(coco.SPLITS, SPLIT, coco.Split(md5, len(self.body)))


@pytest.fixture(scope="module")
def coco(load_script: Callable[[str], ModuleType]) -> ModuleType:
    return load_script("download_coco")


@pytest.fixture
def server(coco: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Start a server and point the script to it, without waits and without a proxy."""
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setattr(coco, "BASE_URL", f"http://127.0.0.1:{running.server_port}/zips")
        monkeypatch.setattr(coco, "BACKOFF_S", 0.0)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        running.publish(coco, monkeypatch)
        yield running
        running.shutdown()
        thread.join()


def run(coco: ModuleType, root: Path, *more: str) -> int:
    """Run the script's command line for the test's split."""
    code: int = coco.main(["--root", str(root), "--split", SPLIT, *more])
    return code


def unpacked(root: Path) -> dict[str, bytes]:
    """Return the photographs in the split's folder."""
    return {path.name: path.read_bytes() for path in (root / SPLIT).glob("*.jpg")}


def names(root: Path) -> set[str]:
    """Return what lies under ``root``, files only, hidden ones too."""
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def free(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Let the disk have so many bytes free."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=size))


FINAL = {f"{SPLIT}/{name}" for name in PHOTOGRAPHS} | {f"{SPLIT}/.complete"}


def test_downloads_and_unpacks(
    coco: ModuleType, server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "data" / "coco"
    assert run(coco, root) == 0
    assert server.requests == [(f"/zips/{SPLIT}.zip", None)]
    assert unpacked(root) == PHOTOGRAPHS
    assert names(root) == FINAL  # no zip, no part, no temporary file
    printed = capsys.readouterr()
    assert printed.err == ""
    last = printed.out.splitlines()[-1]
    assert last == f"python -m fast_style.train data=coco data.root={root} data.split={SPLIT}"


def test_train_command_names_no_split_where_the_default_one_is(
    coco: ModuleType, server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "train2017").mkdir()
    assert run(coco, tmp_path) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == f"python -m fast_style.train data=coco data.root={tmp_path}"


def test_keeps_the_zip_and_reuses_it(coco: ModuleType, server: Server, tmp_path: Path) -> None:
    assert run(coco, tmp_path, "--keep-zip") == 0
    assert names(tmp_path) == FINAL | {f"{SPLIT}.zip"}
    lost, kept = sorted((tmp_path / SPLIT).glob("*.jpg"))[:2]
    lost.unlink()
    before = kept.stat().st_mtime_ns
    assert run(coco, tmp_path) == 0
    assert len(server.requests) == 1
    assert unpacked(tmp_path) == PHOTOGRAPHS
    assert kept.stat().st_mtime_ns == before


def test_second_run_does_nothing(
    coco: ModuleType, server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(coco, tmp_path) == 0
    capsys.readouterr()
    assert run(coco, tmp_path) == 0
    assert len(server.requests) == 1
    assert f"{tmp_path / SPLIT} is complete" in capsys.readouterr().out


def test_missing_photograph_is_fetched_again(
    coco: ModuleType, server: Server, tmp_path: Path
) -> None:
    assert run(coco, tmp_path) == 0
    next((tmp_path / SPLIT).glob("*.jpg")).unlink()
    assert run(coco, tmp_path) == 0
    assert len(server.requests) == 2
    assert unpacked(tmp_path) == PHOTOGRAPHS


def test_resumes_asking_only_for_the_rest(coco: ModuleType, server: Server, tmp_path: Path) -> None:
    (tmp_path / f"{SPLIT}.zip.part").write_bytes(server.body[:20_000])
    assert run(coco, tmp_path) == 0
    assert [asked for _, asked in server.requests] == ["bytes=20000-"]
    assert unpacked(tmp_path) == PHOTOGRAPHS


def test_whole_part_is_not_asked_for(coco: ModuleType, server: Server, tmp_path: Path) -> None:
    (tmp_path / f"{SPLIT}.zip.part").write_bytes(server.body)
    assert run(coco, tmp_path) == 0
    assert server.requests == []
    assert names(tmp_path) == FINAL


def test_starts_over_where_the_server_ignores_range(
    coco: ModuleType, server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.ranges = False
    (tmp_path / f"{SPLIT}.zip.part").write_bytes(server.body[:20_000])
    assert run(coco, tmp_path) == 0
    assert [asked for _, asked in server.requests] == ["bytes=20000-"]
    assert unpacked(tmp_path) == PHOTOGRAPHS
    assert "starting over" in capsys.readouterr().out


def test_starts_over_where_the_part_is_too_long(
    coco: ModuleType, server: Server, tmp_path: Path
) -> None:
    part = tmp_path / f"{SPLIT}.zip.part"
    part.write_bytes(server.body + b"more")
    assert run(coco, tmp_path) == 0  # the server answers 416
    assert [asked for _, asked in server.requests] == [f"bytes={len(server.body) + 4}-", None]
    assert unpacked(tmp_path) == PHOTOGRAPHS


def test_goes_on_after_a_dropped_connection(
    coco: ModuleType, server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.drops = [10_000, 7_000]
    assert run(coco, tmp_path) == 0
    assert [asked for _, asked in server.requests] == [None, "bytes=10000-", "bytes=17000-"]
    assert unpacked(tmp_path) == PHOTOGRAPHS
    assert "closed early; 10.0kB of" in capsys.readouterr().out


def test_goes_on_after_a_silent_server(
    coco: ModuleType,
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(coco, "TIMEOUT_S", 0.1)
    server.pauses = [0.3]
    assert run(coco, tmp_path) == 0
    assert len(server.requests) == 2
    assert unpacked(tmp_path) == PHOTOGRAPHS
    assert "timed out; 0.00B of" in capsys.readouterr().out


def test_gives_up_where_no_server_is(
    coco: ModuleType,
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    monkeypatch.setattr(coco, "BASE_URL", f"http://127.0.0.1:{port}/zips")
    assert run(coco, tmp_path) == 2
    printed = capsys.readouterr()
    assert printed.out.count("trying again") == coco.RETRIES
    assert "refused" in printed.err
    assert printed.err.count("\n") == 1


def test_goes_on_after_a_busy_server(coco: ModuleType, server: Server, tmp_path: Path) -> None:
    server.codes = [503, 429]
    assert run(coco, tmp_path) == 0
    assert len(server.requests) == 3
    assert unpacked(tmp_path) == PHOTOGRAPHS


def test_gives_up_after_retries_without_progress_and_keeps_the_part(
    coco: ModuleType, server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.codes = [503] * 100
    part = tmp_path / f"{SPLIT}.zip.part"
    part.write_bytes(server.body[:5])
    assert run(coco, tmp_path) == 2
    assert len(server.requests) == coco.RETRIES + 1
    assert part.read_bytes() == server.body[:5]
    error = capsys.readouterr().err
    assert error.startswith(f"download_coco: {coco.BASE_URL}/{SPLIT}.zip: HTTP 503; 5.00B of")
    assert error.endswith("run the same command again to resume\n")


def test_progress_renews_the_retries(coco: ModuleType, server: Server, tmp_path: Path) -> None:
    server.drops = [1000] * (2 * coco.RETRIES)
    assert run(coco, tmp_path) == 0
    assert len(server.requests) == 2 * coco.RETRIES + 1


def test_does_not_retry_what_is_not_there(
    coco: ModuleType, server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.codes = [404]
    assert run(coco, tmp_path) == 2
    assert len(server.requests) == 1
    assert "answered HTTP 404, expected 200 or 206" in capsys.readouterr().err


def test_refuses_an_answer_of_another_length(
    coco: ModuleType, server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    size = len(server.body)
    server.body = b"<html>log in to this network</html>"
    assert run(coco, tmp_path) == 2
    assert names(tmp_path) == set()
    assert f"'{len(server.body)}', expected the rest of {size} bytes" in capsys.readouterr().err


def test_wrong_checksum_leaves_nothing(
    coco: ModuleType, server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = coco.SPLITS[SPLIT].md5
    server.body = server.body[:-1] + b"!"
    assert run(coco, tmp_path) == 2
    assert names(tmp_path) == set()
    found = hashlib.md5(server.body).hexdigest()
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"MD5 {found}, expected {expected}" in error


def test_wrong_zip_of_the_user_is_not_touched(
    coco: ModuleType, server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = tmp_path / f"{SPLIT}.zip"
    archive.write_bytes(b"half of it")
    assert run(coco, tmp_path) == 2
    assert archive.read_bytes() == b"half of it"
    assert server.requests == []
    assert f"{archive} has MD5" in capsys.readouterr().err


def test_too_little_disk_to_download(
    coco: ModuleType,
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(coco.SPLITS, SPLIT, coco.Split("0" * 32, 20_000_000_000))
    free(monkeypatch, 40_000_000_000)
    assert run(coco, tmp_path) == 2
    assert server.requests == []
    assert names(tmp_path) == set()
    assert "40.0GB free" in (error := capsys.readouterr().err)
    assert f"expected 41.0GB to download and unpack {SPLIT}" in error


def test_part_counts_as_downloaded(
    coco: ModuleType, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = len(server.body)
    free(monkeypatch, 2 * size)
    assert run(coco, tmp_path) == 2
    (tmp_path / f"{SPLIT}.zip.part").write_bytes(server.body[: size // 2])
    assert run(coco, tmp_path) == 0


def test_too_little_disk_to_unpack(
    coco: ModuleType,
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / f"{SPLIT}.zip").write_bytes(server.body)
    free(monkeypatch, 61_439)  # five files of three blocks each need 61,440
    assert run(coco, tmp_path) == 2
    assert names(tmp_path) == {f"{SPLIT}.zip"}
    assert f"expected 61.4kB to unpack {SPLIT}" in capsys.readouterr().err
    free(monkeypatch, 61_440)
    assert run(coco, tmp_path) == 0


@pytest.mark.parametrize("name", ["../outside.jpg", f"{SPLIT}/../../outside.jpg", "other/x.jpg"])
def test_escaping_member_is_refused(
    coco: ModuleType,
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    root = tmp_path / "root"
    server.body = make_zip({f"{SPLIT}/1.jpg": b"photograph", name: b"outside"})
    server.publish(coco, monkeypatch)
    assert run(coco, root) == 2
    assert names(tmp_path) == {f"root/{SPLIT}.zip"}
    assert f"{name!r}, expected only files in {SPLIT}/" in capsys.readouterr().err


def test_member_with_an_absolute_name_is_refused(
    coco: ModuleType, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "root"
    server.body = make_zip({str(tmp_path / "outside.jpg"): b"outside"})
    server.publish(coco, monkeypatch)
    assert run(coco, root) == 2
    assert names(tmp_path) == {f"root/{SPLIT}.zip"}


def test_damaged_member_gets_no_final_name(
    coco: ModuleType,
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    last = max(PHOTOGRAPHS)
    server.body = server.body.replace(PHOTOGRAPHS[last], b"?" * len(PHOTOGRAPHS[last]))
    server.publish(coco, monkeypatch)
    assert run(coco, tmp_path) == 2
    assert set(unpacked(tmp_path)) == set(PHOTOGRAPHS) - {last}
    assert "expected a whole zip" in capsys.readouterr().err


def test_interrupted_unpacking_goes_on(
    coco: ModuleType,
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    copied: list[str] = []

    def interrupted(source: Any, file: Any, length: int) -> None:
        copied.append(source.name)
        file.write(source.read(100))
        if len(copied) == 3:
            raise KeyboardInterrupt
        file.write(source.read())

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfileobj", interrupted)
        assert run(coco, tmp_path) == 130
    error = capsys.readouterr().err
    assert error == "download_coco: interrupted: run the same command again to resume\n"
    first = sorted(PHOTOGRAPHS)[:2]
    assert unpacked(tmp_path) == {name: PHOTOGRAPHS[name] for name in first}
    (tmp_path / SPLIT / first[0]).write_bytes(b"cut")  # of another size: to be unpacked again
    assert run(coco, tmp_path) == 0
    assert "unpacking 4 of 5 files" in capsys.readouterr().out
    assert len(server.requests) == 1
    assert unpacked(tmp_path) == PHOTOGRAPHS
    assert names(tmp_path) == FINAL


def test_unwritable_root_is_one_line(
    coco: ModuleType, server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert run(coco, tmp_path / "file") == 2
    error = capsys.readouterr().err
    assert error.startswith("download_coco: ")
    assert error.count("\n") == 1


def test_unknown_split_is_refused(coco: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        coco.main(["--split", "train2016"])
    assert exit_info.value.code == 2
    assert "train2016" in capsys.readouterr().err
