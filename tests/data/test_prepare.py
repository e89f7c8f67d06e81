"""`anycost prepare`: every kind of file gets its due, in parallel as in one process, also across kills."""

import json
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anycost.data.lmdb_source import LmdbSource
from anycost.data.prepare import PrepareConfig, prepare, report_path
from anycost.data.sources import ZipSource
from anycost.errors import UserError


@pytest.fixture
def run(tmp_path):
    """Prepare `source` with small defaults; returns (report, path of the archive)."""

    def run(source, name="out.zip", **options):
        output = tmp_path / name
        values = {"resolution": 32, "workers": 0, **options}
        return prepare(PrepareConfig(source=str(source), output=str(output), **values)), output

    return run


@pytest.fixture
def mixed(files, picture, encode) -> dict[str, bytes]:
    """One file of every kind that goes wrong somewhere."""
    exif = Image.Exif()
    exif[0x0112] = 6
    sixteen = Image.fromarray(np.full((40, 40), 30000, np.uint16))
    return {
        **files,
        "c/grey.png": encode(picture(0).convert("L")),
        "c/cmyk.jpg": encode(picture(1).convert("CMYK"), "JPEG"),
        "c/sixteen.png": encode(sixteen),
        "c/alpha.png": encode(picture(2).convert("RGBA")),
        "c/rotated.jpg": encode(picture(3, (64, 40)), "JPEG", exif=exif),
        "d/broken.png": b"not a picture",
        "d/cut.jpg": encode(picture(4), "JPEG")[:-300],
        "d/empty.png": b"",
        "d/tiny.png": encode(picture(5, (31, 90))),
    }


def test_every_kind_of_file(mixed, make_folder, run):
    report, output = run(make_folder(mixed))
    assert (report.found, report.converted) == (21, 17)
    assert {skip["name"]: skip["reason"].split(":")[0] for skip in report.skipped} == {
        "d/broken.png": "is broken", "d/cut.jpg": "is broken", "d/empty.png": "is broken",
        "d/tiny.png": "is 31x90 pixels, too small for resolution 32",
    }  # fmt: skip
    assert report.unusual == {"grey": 2, "cmyk": 1, "16-bit": 1, "alpha": 1, "rotated": 1}
    assert json.loads(report_path(output).read_text())["skipped"] == report.skipped
    source = ZipSource(output)
    assert [source.read(k).size for k in range(len(source))] == [(32, 32)] * 17
    assert source.name(0) == "00000/img00000000.png"
    assert sorted(p.name for p in output.parent.iterdir() if p.is_file()) == ["out.report.json", "out.zip"]


@pytest.mark.parametrize("kind", ["folder", "zip", "lmdb"])
def test_all_sources_give_one_archive(kind, files, request, run, make_folder):
    named = {f"{k:02d}.png": files[name] for k, name in enumerate(sorted(files))}
    _, expected = run(make_folder(named, "expected"), "expected.zip")
    _, output = run(request.getfixturevalue(f"make_{kind}")(named))
    with zipfile.ZipFile(output) as found, zipfile.ZipFile(expected) as wanted:
        pictures = [name for name in wanted.namelist() if name.endswith(".png")]
        assert {name: found.read(name) for name in pictures} == {name: wanted.read(name) for name in pictures}
        assert found.testzip() is None
        assert all(info.compress_type == zipfile.ZIP_STORED for info in found.infolist() if "img" in info.filename)


def test_processes_change_no_byte(mixed, make_folder, run):
    folder = make_folder(mixed)
    reports, archives = zip(*(run(folder, f"{n}.zip", workers=n) for n in (0, 2)), strict=True)
    assert archives[0].read_bytes() == archives[1].read_bytes()
    assert reports[0].skipped == reports[1].skipped


def test_labels_follow_their_pictures(files, make_zip, run):
    files["a/2.png"] = b"broken"
    source = ZipSource(make_zip(files, labels=[[name, int(name[2:-4])] for name in files]))
    _, output = run(source.path)
    prepared = ZipSource(output)
    assert len(prepared) == 11
    for k in range(11):
        place = int(prepared.name(k)[-12:-4])
        assert prepared.labels(k) == source.labels(place)
        assert np.array_equal(np.asarray(source.read(place).resize((32, 32), 2)), np.asarray(prepared.read(k)))


@pytest.mark.parametrize(
    ("options", "size", "expected"),
    [
        ({"crop": "center"}, (96, 64), (32, 32)),
        ({"crop": "letterbox"}, (96, 64), (32, 32)),
        ({"crop": "none"}, (96, 64), (48, 32)),
        ({"crop": "none", "aspect": "2:1"}, (96, 64), (64, 32)),
    ],
)
def test_shapes(options, size, expected, make_folder, picture, encode, run):
    _, output = run(make_folder({"0.png": encode(picture(0, size))}), **options)
    assert ZipSource(output).read(0).size == expected


def test_lsun_car_layout(make_folder, picture, encode, run):
    """Whatever the aspect was, 4:3 with an eighth of black rows above and below."""
    _, output = run(make_folder({"0.png": encode(picture(0, (200, 100)))}), crop="letterbox", aspect="4:3")
    pixels = np.asarray(ZipSource(output).read(0))
    assert not pixels[:4].any()
    assert not pixels[-4:].any()
    assert pixels[4:-4].any(axis=(1, 2)).all()


def test_max_images_and_subset(files, make_folder, run):
    report, output = run(make_folder(files), subset="b", max_images=4)
    assert (report.found, len(ZipSource(output))) == (4, 4)


def test_a_finished_archive_is_left_alone_and_another_is_not_overwritten(files, make_folder, run):
    folder = make_folder(files)
    report, output = run(folder)
    before = output.stat().st_mtime_ns
    assert run(folder)[0] == report
    assert output.stat().st_mtime_ns == before
    with pytest.raises(UserError, match="exists and was made otherwise"):
        run(folder, resolution=16)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resolution": 33}, "resolution=33 is not a power of two"),
        ({"crop": "middle"}, "crop=middle is not one of center, letterbox, none"),
        ({"aspect": "4/3"}, "aspect=4/3 is not width:height"),
        ({"subset": "x"}, "subset=x is not a folder"),
        ({"name": "out.tar"}, r"output=.*out\.tar is not the name of a zip"),
        ({"resolution": 64}, r"none of the 12 pictures .* a/0\.png is 48x48 pixels, too small"),
    ],
)
def test_mistakes(options, message, files, make_folder, run, tmp_path):
    folder = make_folder(files)
    with pytest.raises(UserError, match=message):
        run(folder, **options)
    assert [p.name for p in tmp_path.iterdir()] == ["pictures"]


def test_missing_and_empty_source(run, make_folder):
    with pytest.raises(UserError, match="source=gone does not exist"):
        run("gone")
    with pytest.raises(UserError, match="has no pictures"):
        run(make_folder({"readme.txt": b""}))


def test_an_exception_leaves_a_continuable_part(mixed, make_folder, run, tmp_path):
    folder = make_folder(mixed)
    _, expected = run(folder, "expected.zip")
    output = tmp_path / "out.zip"

    def stop(done, total):
        if done == 14:
            raise KeyboardInterrupt

    config = PrepareConfig(source=str(folder), output=str(output), resolution=32, workers=0)
    with pytest.raises(KeyboardInterrupt):
        prepare(config, stop)
    assert not output.exists()
    counts = []
    report = prepare(config, lambda done, total: counts.append(done))
    assert counts[0] == 14
    assert output.read_bytes() == expected.read_bytes()
    assert report.unusual == {"grey": 2, "cmyk": 1, "16-bit": 1, "alpha": 1, "rotated": 1}


def test_killed_at_any_instant(files, make_folder, picture, encode, run, tmp_path):
    """kill -9 until the archive is there: it equals the undisturbed one to the byte, and no worker survives."""
    many = {f"{k}.png": encode(picture(k, (200, 200))) for k in range(100)}
    folder = make_folder({**many, "bad.png": b"x"})
    _, expected = run(folder, "expected.zip")
    output = tmp_path / "out.zip"
    command = [sys.executable, "-m", "anycost", "prepare", f"source={folder}", f"output={output}", "resolution=32"]
    for _ in range(2):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        parts = wait_for_part(tmp_path, process)
        process.send_signal(signal.SIGKILL)
        process.wait()
        for part in parts:
            with part.open("ab") as file:  # what a torn write would leave
                file.write(b"PK\x03\x04 torn")
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    assert output.read_bytes() == expected.read_bytes()
    assert not list(tmp_path.glob("*.part"))


def wait_for_part(folder: Path, process: subprocess.Popen) -> list[Path]:
    """The partial file, as soon as it has grown beyond what it was."""
    before = {part: part.stat().st_size for part in folder.glob("*.part")}
    while process.poll() is None:
        parts = list(folder.glob("*.part"))
        if any(part.stat().st_size > before.get(part, 0) + 5000 for part in parts):
            return parts
        time.sleep(0.005)
    return []


def test_lmdb_is_read_in_key_order(make_lmdb, files, run):
    path = make_lmdb(files)
    _, output = run(path)
    source, prepared = LmdbSource(path), ZipSource(output)
    for k in (0, 11):
        assert np.array_equal(np.asarray(source.read(k).resize((32, 32), 2)), np.asarray(prepared.read(k)))
