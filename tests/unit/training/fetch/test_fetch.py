"""`tinydet data fetch` from a web server on this machine, a folder and an archive, with faults planted in each."""

from __future__ import annotations

import json
import shutil
import socket
from pathlib import Path

import pytest

from tests.house.test_light_imports import loaded_by
from tests.unit.training.fetch import file_server
from tests.unit.training.fetch.file_server import FileServer, Request
from tests.unit.training.fetch.outcome import FETCH, assert_whole, error_of, part_of
from tests.unit.training.fetch.toy_set import FIRST, NAME, write_archive, write_set
from tinydet.edge.commands.cli import main
from tinydet.edge.errors import InputError
from tinydet.training.data.fetch import RECORD, fetch


def ranges(server: FileServer) -> list[str | None]:
    return [request.range for request in server.requests if request.path == FIRST]


def test_from_a_server(server: FileServer, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*FETCH, "--from", server.url]) == 0
    assert_whole(out)
    said = capsys.readouterr().err
    for text in ("https://toys.example", "CC BY 4.0", "the toy makers"):
        assert text in said
        assert text in (out / "README.md").read_text()
    assert "in 6 files" in said
    assert len(server.requests) == 6
    assert not any("not-free" in request.path for request in server.requests)


def test_a_second_run_finds_everything_done(server: FileServer, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*FETCH, "--from", server.url]) == 0
    asked = len(server.requests)
    assert main([*FETCH, "--from", server.url]) == 0
    assert len(server.requests) == asked
    assert "datasets/toys is complete: nothing to do" in capsys.readouterr().err
    part_of(out).parent.mkdir(parents=True)
    part_of(out).touch()  # as of a run that was killed at its very end
    assert main([*FETCH, "--from", server.url]) == 0
    assert_whole(out)
    picture = out / "tiny" / "val" / "west_b3.jpg"
    picture.write_bytes(picture.read_bytes()[:-1] + b"x")
    assert main([*FETCH, "--from", server.url]) == 2
    assert f"{picture} was changed or removed (1 files): remove {out} to fetch it again" in error_of(capsys)


def test_a_folder_of_something_else_is_left_alone(source: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out.mkdir(parents=True)
    (out / "mine.txt").write_text("mine")
    assert main([*FETCH, "--from", str(source)]) == 2
    assert "exists and `tinydet data fetch` has not made it" in error_of(capsys)
    assert [path.name for path in out.iterdir()] == ["mine.txt"]
    (out / RECORD).write_text(json.dumps({"name": "other", "manifest": "", "files": []}))
    with pytest.raises(InputError, match="holds other as another version has it"):
        fetch(NAME, out, source=str(source))


def test_a_cut_download_goes_on_where_it_stopped(server: FileServer, out: Path) -> None:
    server.faults[FIRST] = [file_server.cut_after(1000), file_server.cut_after(500)]
    assert main([*FETCH, "--from", server.url]) == 0
    assert ranges(server) == [None, "bytes=1000-", "bytes=1500-"]
    assert_whole(out)


def test_the_next_run_goes_on_where_the_last_one_stopped(
    server: FileServer, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.faults[FIRST] = [file_server.cut_after(count) for count in (1000, 1, 1, 1)]
    assert main([*FETCH, "--from", server.url]) == 2
    message = error_of(capsys)
    assert f"cannot download {server.url}/{FIRST} (it ended after 1003 of " in message
    assert "files are kept: the same command goes on from there" in message
    assert not out.exists() and part_of(out).stat().st_size == 1003
    asked = len(server.requests)
    assert main([*FETCH, "--from", server.url]) == 0
    assert server.requests[asked:].count(Request(FIRST, "bytes=1003-")) == 1
    assert len(server.requests) - asked < 6, "complete files are not downloaded again"
    assert_whole(out)


def test_a_server_without_range_starts_anew(server: FileServer, out: Path) -> None:
    server.faults[FIRST] = [file_server.cut_after(1000), file_server.without_range(300), file_server.without_range()]
    assert main([*FETCH, "--from", server.url]) == 0
    assert ranges(server) == [None, "bytes=1000-", "bytes=300-"]
    assert_whole(out)


@pytest.mark.parametrize("extra", [-10, 0, 10])
def test_a_part_of_another_file_is_thrown_away(server: FileServer, source: Path, out: Path, extra: int) -> None:
    part_of(out).parent.mkdir(parents=True)
    part_of(out).write_bytes(b"x" * ((source / FIRST).stat().st_size + extra))
    assert main([*FETCH, "--from", server.url]) == 0
    assert ranges(server)[-1] is None
    assert_whole(out)


def test_a_wrong_file_at_a_mirror(
    server: FileServer, source: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    right = (source / FIRST).read_bytes()
    server.faults[FIRST] = [file_server.instead(right[:-1] + b"x")]
    assert main([*FETCH, "--from", server.url]) == 2
    assert f"{server.url}/{FIRST} is another file: SHA-256 " in error_of(capsys)
    assert not out.exists() and not part_of(out).exists()


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("change", [-7, 7])
def test_a_file_of_another_size(
    server: FileServer, source: Path, out: Path, change: int, kept: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    content = (source / FIRST).read_bytes()
    if kept:
        part_of(out).parent.mkdir(parents=True)
        part_of(out).write_bytes(content[:100])
    server.faults[FIRST] = [file_server.instead((content + b"x" * 7)[: len(content) + change])]
    assert main([*FETCH, "--from", server.url]) == 2
    message = error_of(capsys)
    assert f"has {len(content) + change} bytes where the manifest has {len(content)}" in message
    assert not out.exists()


def test_a_server_that_sends_more_than_announced(
    server: FileServer, source: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a length nothing but the manifest says where to stop; 64 MB would fill a small disk."""
    content = (source / FIRST).read_bytes()
    server.faults[FIRST] = [file_server.unannounced(content + b"x" * (64 << 20))]
    assert main([*FETCH, "--from", server.url]) == 2
    assert f"has more than the {len(content)} bytes of the manifest" in error_of(capsys)
    assert part_of(out).stat().st_size <= len(content)
    assert main([*FETCH, "--from", server.url]) == 0
    assert_whole(out)


def test_a_missing_file_is_not_asked_for_twice(server: FileServer, capsys: pytest.CaptureFixture[str]) -> None:
    server.faults[FIRST] = [file_server.status(404)] * 4
    assert main([*FETCH, "--from", server.url]) == 2
    before, _, error = capsys.readouterr().err.partition("error:")
    assert f"{server.url}/{FIRST}: HTTP 404 Not Found" in " ".join(error.split())
    assert "https://toys.example" in before and "CC BY 4.0" in before and "the toy makers" in before
    assert len(ranges(server)) == 1


def test_a_busy_server_is_asked_again(server: FileServer, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    server.faults[FIRST] = [file_server.status(429), file_server.status(503)]
    assert main([*FETCH, "--from", server.url]) == 0
    assert_whole(out)
    shutil.rmtree(out)
    server.faults[FIRST] = [file_server.status(429)] * 4
    capsys.readouterr()
    assert main([*FETCH, "--from", server.url]) == 2
    assert f"cannot download {server.url}/{FIRST} (HTTP 429 Too Many Requests)" in error_of(capsys)


def test_a_redirect_is_followed(server: FileServer, tmp_path: Path, source: Path, out: Path) -> None:
    with file_server.serving(shutil.copytree(source, tmp_path / "moved")) as other:
        server.faults[FIRST] = [file_server.redirect(f"{other.url}/{FIRST}")]
        assert main([*FETCH, "--from", server.url]) == 0
        assert [request.path for request in other.requests] == [FIRST]
    assert_whole(out)


def test_no_network_is_one_line(source: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as closed:  # bound and not listening: connections are refused
        closed.bind(("127.0.0.1", 0))
        assert main([*FETCH, "--from", f"http://127.0.0.1:{closed.getsockname()[1]}"]) == 2
    assert "(Connection refused); 0 of 6 files are kept" in error_of(capsys)
    assert not out.exists()


@pytest.mark.parametrize("address", ["http://[", "https://a b/", f"http://{'x' * 70}.example"])
def test_a_broken_address_is_one_line(source: Path, address: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*FETCH, "--from", address]) == 2
    assert "cannot download" in error_of(capsys)


def test_from_a_folder(source: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (source / FIRST).rename(source / "aside")
    assert main([*FETCH, "--from", str(source)]) == 2
    assert f"cannot read {source / FIRST} (No such file or directory)" in error_of(capsys)
    (source / "aside").rename(source / FIRST)
    assert main([*FETCH, "--from", str(source), "--out", str(out)]) == 0
    assert_whole(out)
    assert main([*FETCH, "--from", "nowhere"]) == 2
    assert "source nowhere: expected a folder, a .tar.gz archive, or an http(s) address of one" in error_of(capsys)


def test_from_an_archive(
    source: Path, server: FileServer, tmp_path: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = write_archive(tmp_path / "toys.tar.gz", source)
    assert main([*FETCH, "--from", str(archive)]) == 0
    assert_whole(out)
    shutil.rmtree(out)
    shutil.copy(archive, source)
    server.faults["toys.tar.gz"] = [file_server.cut_after(count) for count in (0, 8000, 16000)]
    assert main([*FETCH, "--from", f"{server.url}/toys.tar.gz"]) == 0
    assert [request.range for request in server.requests] == [None] * 4
    assert_whole(out)
    shutil.rmtree(out)
    capsys.readouterr()
    archive.write_bytes(archive.read_bytes()[:9000])
    assert main([*FETCH, "--from", str(archive)]) == 2
    assert f"{archive} is no .tar.gz archive, or a damaged one" in error_of(capsys)
    (source / FIRST).unlink()
    assert main([*FETCH, "--from", str(write_archive(archive, source))]) == 2
    assert f"{archive} lacks {FIRST} (1 of 6 files missing); 5 of 6 files are kept" in error_of(capsys)
    (source / FIRST).write_bytes(b"short")
    assert main([*FETCH, "--from", str(write_archive(archive, source))]) == 2
    assert "toys-0123/frames/A-1.png has 5 bytes where the manifest has" in error_of(capsys)


def test_the_next_source_goes_on_with_the_rest(
    source: Path, server: FileServer, tmp_path: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_set(tmp_path / "sets", source, server.url, f"{tmp_path}/toys.tar.gz")
    server.faults[FIRST] = [file_server.status(429)] * 8
    (tmp_path / "toys.tar.gz").write_bytes(b"")
    assert main(FETCH) == 2
    message = error_of(capsys)
    assert "HTTP 429" in message and "toys.tar.gz is no .tar.gz archive" in message
    write_archive(tmp_path / "toys.tar.gz", source)
    assert main(FETCH) == 0
    assert_whole(out)


def test_what_is_downloaded_is_not_asked_for_again(source: Path, tmp_path: Path, out: Path) -> None:
    """As after a run that was cut when it had downloaded everything."""
    shutil.copytree(source, out.parent / ".toys.download" / "files")
    (tmp_path / "empty.tar.gz").write_bytes(b"")
    assert main([*FETCH, "--from", "empty.tar.gz"]) == 0
    assert_whole(out)


def test_options_without_effect_are_refused(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--list", NAME], ["--from", str(source)], ["--out", "x"]):
        assert main(["data", "fetch", *arguments]) == 2
        assert "--list takes no other argument" in error_of(capsys)
    assert main(["data", "fetch", "toyz"]) == 2
    assert "unknown data set toyz: did you mean toy?" in error_of(capsys)


def test_fetching_needs_no_heavy_package() -> None:
    loaded = loaded_by(["tinydet.training.data.fetch", "tinydet.training.commands.fetch"])
    assert not loaded & {"torch", "cv2", "numpy"}
