"""The table of inference: what its columns say of pictures and times that are known."""

import json
import math

import pytest
import torch

from anycost.architecture import ArchitectureSpace
from anycost.benchmarks.inference import check_dtypes, measure, psnr_db, relative_error
from anycost.commands import main
from anycost.errors import UserError
from anycost.networks.generator import Generator
from anycost.pricing.macs import macs

SPACE = ArchitectureSpace(32, 0.125, 64, 3)
TINY = ("model=small", "model.resolution=32", "model.multiplier=0.125", "model.channel_cap=64", "model.latent_dim=16",
        "model.mapping_layers=1")  # fmt: skip


def test_errors_of_known_pictures() -> None:
    true = torch.tensor([-2.0, -0.5, 0.0, 0.5])
    image = torch.tensor([-3.0, -0.5, 0.0, 0.7])
    assert relative_error(image, true) == 0.5
    assert psnr_db(image, true) == pytest.approx(10 * math.log10(4 / (0.2**2 / 4)))  # what is clamped does not differ
    scaled = psnr_db(10 * image, 10 * true, deviation=true.std().item())
    assert scaled == pytest.approx(psnr_db(image, true), abs=1e-3)
    assert psnr_db(true, true) == math.inf


@pytest.mark.parametrize("space", [SPACE, ArchitectureSpace(16, num_resolutions=2, channels=(20, 12, 9, 24, 5, 16))])
def test_rows(space: ArchitectureSpace) -> None:
    generator = Generator(space, latent_dim=16, mapping_layers=1).requires_grad_(False)
    architectures = {"full": space.full(), "half": space.uniform(0.5, 8)}
    said: list[str] = []
    result = measure(generator, architectures, ["float32", "bfloat16"], 2, rounds=3, trained=False, report=said.append)
    rows = {(row.architecture, row.dtype): row for row in result.rows}
    assert set(rows) == {(name, dtype) for name in architectures for dtype in ("float32", "bfloat16")}
    assert result.rounds == 3
    assert said[-1] == "round 3 of 3"
    for (name, dtype), row in rows.items():
        assert row.macs == macs(space, architectures[name], 16, mapping_layers=0)
        assert row.plain_ms > 0
        assert row.ratio == row.plain_ms / row.ms
        assert row.share_of_peak == pytest.approx(2 * 2 * row.macs / (row.ms / 1000) / result.peaks[dtype])
        assert row.plain_ms == rows[name, "float32"].plain_ms
        if dtype == "float32":
            assert row.relative_error < 1e-5
            assert row.psnr_db > 100
        else:
            assert 1e-4 < row.relative_error < 0.2
            assert row.psnr_db > 40
    assert rows["half", "float32"].weight_bytes < rows["full", "float32"].weight_bytes


def test_dtypes() -> None:
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert check_dtypes([], cpu)[0] == "float32"
    assert check_dtypes(["bfloat16"], cpu) == ["bfloat16"]
    for wrong in ("float16", "tf32", "int8"):
        with pytest.raises(UserError, match=f"dtypes={wrong}: {wrong} is not one of float32, bfloat16 on this device"):
            check_dtypes([wrong], cpu)
    if not torch.cuda.is_available():
        return
    assert set(check_dtypes([], gpu)) >= {"float32", "tf32", "float16"}


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["architectures=full,0.5@16", "dtypes=float32", "rounds=2", "threads=1", "accelerator=cpu"]
    assert main(["benchmark", "inference", *TINY, *options]) == 0
    out = capsys.readouterr().out
    lines = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    assert [line["architecture"] for line in lines] == ["full", "0.5@16"]
    assert all(line["ratio"] == line["plain_ms"] / line["ms"] and line["rounds"] == 2 for line in lines)
    assert "1 threads" not in out
    for text in ("0.5@16", "float32", "of peak", "Peak, the best convolution: float32"):
        assert text in out
    assert main(["benchmark", "inference", *TINY, "dtypes=float16", "accelerator=cpu"]) == 2


def test_pictures_of_random_weights_are_the_same_every_time(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["dtypes=bfloat16", "rounds=1", "threads=1", "accelerator=cpu"]
    errors = []
    for _ in range(2):
        assert main(["benchmark", "inference", *TINY, *options]) == 0
        errors.append(json.loads(capsys.readouterr().out.splitlines()[-1])["relative_error"])
    assert errors[0] == errors[1] > 0
