"""`anycost evaluate` as a user meets it: values, records, the table, and one clear message for every mistake."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from PIL import Image

from anycost.architecture import ArchitectureSpace
from anycost.commands import main
from anycost.commands.arguments import parse
from anycost.commands.evaluate import EvaluateConfig, is_data
from anycost.configuration.composition import compose
from anycost.configuration.convert import save_config
from anycost.evaluation.evaluate import read_records
from anycost.interchange.weights import Header, write_weights
from anycost.metrics.table import protocols
from anycost.networks.generator import Generator

SPACE = {"resolution": 32, "multiplier": 0.125, "channel_cap": 64, "num_resolutions": 3}
MODEL = {"latent_dim": 16, "mapping_layers": 1}
SMALL = ["metrics=frechet12_embedded,consistency8_embedded", "architectures=[full,0.5@16]", "batch_size=4"]


def write(path: Path, spoil: float | None = None) -> Path:
    """Weights of a small random generator."""
    torch.manual_seed(0)
    generator = Generator(ArchitectureSpace(**SPACE), **MODEL)  # type: ignore[arg-type]
    if spoil is not None:
        generator.constant.data[:] = spoil
    tensors = {f"generator.{name}": tensor for name, tensor in generator.state_dict().items()}
    write_weights(path, tensors, Header("training", SPACE, MODEL, {"images": 4000}))
    return path


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder whose data are the first 60 embedded faces."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    folder.mkdir()
    write(folder / "weights.safetensors")
    save_config(compose("stage=ada_ch", "init_from=none", "data.size=60"), folder / "config.yaml")
    return folder


@pytest.fixture
def evaluate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> Callable[..., tuple[str, Path]]:
    """`evaluate(*arguments)`: what the command prints in a folder of its own, and the folder of its records."""
    monkeypatch.setenv("ANYCOST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.delenv("ANYCOST_ATTEMPT", raising=False)
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[str, Path]:
        assert main(["evaluate", f"output={tmp_path / 'out'}", *arguments]) == 0
        printed = capsys.readouterr()
        assert printed.err == ""
        return printed.out, tmp_path / "out"

    return call


@pytest.fixture
def refused(evaluate: object, capsys: pytest.CaptureFixture) -> Callable[..., str]:
    """`refused(*arguments)`: the single message of a command that must end with status 2."""

    def call(*arguments: str) -> str:
        assert main(["evaluate", *arguments]) == 2
        message = capsys.readouterr().err
        assert message.startswith("error: ")
        assert "Traceback" not in message
        return message

    return call


def test_a_run_is_evaluated_on_what_it_was_trained_on(
    evaluate: Callable[..., tuple[str, Path]], trained: Path
) -> None:
    printed, output = evaluate(f"weights={trained}", *SMALL)
    records = read_records(output)
    assert [one.key for one in records] == [
        "metrics/frechet12_embedded_full", "metrics/frechet12_embedded_0.5@16",
        "metrics/consistency8_embedded_full", "metrics/consistency8_embedded_0.5@16",
    ]  # fmt: skip
    assert records[0].data.endswith("size60-drawn32")
    assert records[0].images == 4000
    assert records[2].value == 0 < records[3].value
    assert records[0].biased
    for text in ("architecture", "MACs (paper)", "0.5@16", f"{records[0].value:.4g}*", "* biased", "records.jsonl"):
        assert text in printed
    assert not (output / "work").exists()


def test_records_lie_in_the_run_by_default(
    evaluate: Callable[..., tuple[str, Path]], trained: Path, tmp_path: Path
) -> None:
    assert main(["evaluate", f"weights={trained}", "metrics=consistency8_embedded", "architectures=0.5"]) == 0
    assert len(read_records(trained / "evaluation")) == 1
    alone = write(tmp_path / "some weights.safetensors")
    assert main(["evaluate", f"weights={alone}", "metrics=consistency8_embedded", "architectures=0.5"]) == 0
    (folder,) = (tmp_path / "logs" / "evaluate").iterdir()
    assert folder.name.startswith("some_weights-")
    assert len(read_records(folder)) == 1


def test_auto_is_full_and_the_other_uniform_ones(evaluate: Callable[..., tuple[str, Path]], trained: Path) -> None:
    _, output = evaluate(f"weights={trained}", "metrics=consistency8_embedded")
    assert [one.label for one in read_records(output)] == ["full", "0.75", "0.5", "0.25"]


def test_entries_of_a_file_and_their_names(
    evaluate: Callable[..., tuple[str, Path]], trained: Path, tmp_path: Path
) -> None:
    space = ArchitectureSpace(**SPACE)  # type: ignore[arg-type]
    for name, ratio in (("a", 0.25), ("b", 0.5)):
        entry = {"channels": list(space.uniform(ratio).channels), "res": 32, "dist": 0.1, "macs": 5}
        (tmp_path / f"{name}.json").write_text(json.dumps({"18G": entry}))
    _, output = evaluate(f"weights={trained}", "metrics=consistency8_embedded", "architectures=a.json,b.json")
    assert [one.label for one in read_records(output)] == ["18G", "b:18G"]


def test_another_data_set_resolution_and_seed(evaluate: Callable[..., tuple[str, Path]], trained: Path) -> None:
    weights = f"weights={trained}"
    _, output = evaluate(weights, "metrics=frechet12_embedded", "architectures=full")
    evaluate(weights, "metrics=frechet12_embedded", "architectures=full", "data=faces", "data.size=40")
    evaluate(weights, "metrics=frechet12_embedded", "architectures=full", "data.filter=lanczos")
    evaluate(weights, "metrics=frechet12_embedded", "architectures=full", "seed=100")
    evaluate(weights, "metrics=frechet12_embedded", "architectures=full", "data.resolution=64")
    records = read_records(output)
    assert [one.data.partition("size")[2] for one in records] == [
        "60-drawn32", "40-drawn32", "60-drawn32-lanczos-crop", "60-drawn32", "60-drawn64",
    ]  # fmt: skip
    assert [one.protocol.seed for one in records] == [0, 0, 0, 100, 0]
    assert records[0].value not in (records[3].value, records[4].value)


def pictures(folder: Path, count: int, side: int = 16) -> Path:
    folder.mkdir()
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 256, (side, side, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def test_a_folder_of_pictures(evaluate: Callable[..., tuple[str, Path]], tmp_path: Path) -> None:
    """Of 16 px; the faces are drawn at 32 and filtered down, as for a sub-generator of 16 px."""
    folder = pictures(tmp_path / "fakes [1]", 14)
    printed, output = evaluate(f"images={folder}", "data=faces", "data.resolution=32", "metrics=frechet12_embedded")
    (record,) = read_records(output)
    assert (record.label, record.architecture.resolution) == ("fakes [1]", 16)
    assert "fakes [1]" in printed
    assert "MACs" not in printed


@pytest.mark.parametrize(("arguments", "message"), [
    (["metrics=fd5k"], r"metrics=fd5k is not known; did you mean .*fd5k_embedded"),
    ([], r"metrics=\.\.\. is needed"),
    (["metrics=fd1k_embedded", "architectures=half"], r"architecture=half is not understood"),
    (["metrics=fd1k_embedded", "architectures=[full,no.json]"], r"architecture file no\.json cannot be read"),
    (["metrics=fd1k_embedded", "architectures=[]"], r"architectures=\[\] names none"),
    (["metrics=fid50k"], r"metrics=fid50k needs 50000 real images, the data set has 60"),
    (["metrics=fd1k_embedded", "data=faces", "data.resolution=16"], r"data\.resolution=16 differs .* 32 px"),
    (["metrics=fd1k_embedded", "data.pathh=x"], r"data\.pathh= is not an option; did you mean path="),
    (["metrics=fd1k_embedded", "data=fases"], r"fases"),
    (["metrics=fd1k_embedded", "data.limit=1", "data.limit=2"], r"data\.limit=1 and data\.limit=2 are given"),
    (["metrics=fd1k_embedded", "data=faces", "data.limit=1", "data.limit=2"], r"data\.limit=1 and data\.limit=2 are"),
    (["metrics=fd1k_embedded", "architecture=full"], r"architecture= is not an option; did you mean architectures="),
    (["metrics=fd1k_embedded", "devices=9"], r"devices=9 are more than shards=8; give each a share with shards=9"),
    (["metrics=fd1k_embedded", "devices=0"], r"devices=0 must be at least 1"),
    (["metrics=fd1k_embedded", "accelerator=gpu"], r"accelerator=gpu: torch finds no CUDA device"),
    (["metrics=fd1k_embedded", "images=x"], r"weights=\.\.\. or images=\.\.\. is needed, one of them"),
])
def test_mistakes(arguments: list[str], message: str, refused: Callable[..., str], trained: Path) -> None:
    if "accelerator=gpu" in arguments and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert re.search(message, refused(f"weights={trained}", *arguments))


def test_pictures_have_no_architectures(refused: Callable[..., str]) -> None:
    message = refused("images=x", "data=faces", "metrics=fd1k_embedded", "architectures=0.5")
    assert "architectures=... are those of a generator, and images=... has none" in message


def test_weights_that_are_not_there(refused: Callable[..., str], tmp_path: Path) -> None:
    assert "does not exist; give a weights file" in refused("weights=nowhere", "metrics=fd1k_embedded")
    (tmp_path / "started").mkdir()
    assert "weights=started is no run folder" in refused("weights=started", "metrics=fd1k_embedded")
    (tmp_path / "started" / "config.yaml").touch()
    assert "has not finished a stage" in refused("weights=started", "metrics=fd1k_embedded")


def test_weights_without_a_run_need_data(refused: Callable[..., str], tmp_path: Path) -> None:
    message = refused(f"weights={write(tmp_path / 'a.safetensors')}", "metrics=fd1k_embedded")
    assert "metrics=fd1k_embedded needs real images and the weights lie in no run folder: add data=NAME" in message


def test_published_weights_that_cannot_be_had(
    refused: Callable[..., str], trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANYCOST_INCEPTION", "nowhere.pth")
    message = refused(f"weights={trained}", "metrics=fid50k_full")
    assert "weights-inception" in message
    assert "or choose metrics=fd1k_embedded,fd5k_embedded" in message


def test_weights_that_are_no_numbers(refused: Callable[..., str], tmp_path: Path) -> None:
    broken = write(tmp_path / "nan.safetensors", spoil=float("nan"))
    message = refused(f"weights={broken}", "metrics=consistency8_embedded", f"output={tmp_path}")
    assert "generator.constant hold values that are not finite" in message


def test_weights_that_draw_nothing_finite(refused: Callable[..., str], tmp_path: Path) -> None:
    broken = write(tmp_path / "huge.safetensors", spoil=3e38)
    message = refused(f"weights={broken}", "metrics=consistency8_embedded", "architectures=0.5", f"output={tmp_path}")
    assert "sample 0 of 0.5: an image is not finite" in message


def test_pictures_larger_than_the_real_ones(refused: Callable[..., str], tmp_path: Path) -> None:
    folder = pictures(tmp_path / "large", 12, side=64)
    arguments = [f"images={folder}", "metrics=frechet12_embedded", "data=faces", "data.resolution=32"]
    assert "images of 64 px cannot be compared with real images of 32 px" in refused(*arguments)
    assert "needs 5000 pictures" in refused(*arguments[:1], "metrics=fd5k_embedded", "data=faces")


def test_an_output_that_cannot_be_written(refused: Callable[..., str], trained: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    message = refused(f"weights={trained}", "metrics=consistency8_embedded", f"output={tmp_path / 'file'}")
    assert f"output={tmp_path / 'file'} cannot be written" in message


def start(folder: Path, *arguments: str, **environment: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "anycost.commands.evaluate", *arguments]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "ANYCOST_CACHE": str(folder / "cache"), **environment}
    return subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finished(process: subprocess.Popen) -> str:
    output = process.communicate(timeout=240)[0]
    assert process.returncode == 0, output
    return output


def values(folder: Path) -> dict[str, float]:
    return {one.key: one.value for one in read_records(folder)}


LINE = ["metrics=frechet160_embedded,consistency80_embedded", "architectures=[full,0.5]", "data.size=160",
        "batch_size=4"]  # fmt: skip


@pytest.fixture
def alone(evaluate: Callable[..., tuple[str, Path]], trained: Path) -> dict[str, float]:
    """What this process finds, alone and uninterrupted."""
    _, output = evaluate(f"weights={trained}", *LINE, "threads=1")
    return values(output)


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["devices", "torchrun"])
def test_two_processes_find_what_one_finds_to_the_bit(
    launcher: str, alone: dict[str, float], trained: Path, tmp_path: Path
) -> None:
    line = [f"weights={trained}", *LINE, "output=two", "cache=cache2"]
    if launcher == "devices":
        processes = [start(tmp_path, *line, "devices=2")]
    else:
        processes = [start(tmp_path, *line, RANK=str(rank), WORLD_SIZE="2") for rank in (0, 1)]
    for process in processes:
        finished(process)
    assert values(tmp_path / "two") == alone
    assert sorted(path.name for path in (tmp_path / "two").iterdir()) == [".lock", "generator.json", "records.jsonl"]


@pytest.mark.slow
def test_kill_9_at_any_instant_changes_no_bit(alone: dict[str, float], trained: Path, tmp_path: Path) -> None:
    line = [f"weights={trained}", *LINE, "output=killed", "cache=cache2"]
    seed = time.time_ns()
    print(f"instants drawn with seed {seed}")
    rng = random.Random(seed)
    for devices in (2, 1):
        process = start(tmp_path, *line, f"devices={devices}")
        wait_for_shards(process, tmp_path / "killed")
        time.sleep(rng.uniform(0, 0.5))
        others = psutil.Process(process.pid).children() if process.poll() is None else []
        process.send_signal(signal.SIGKILL)
        process.communicate()
        psutil.wait_procs(others, timeout=200)  # they notice that their parent is gone
    finished(start(tmp_path, *line))
    assert values(tmp_path / "killed") == alone


def wait_for_shards(process: subprocess.Popen, output: Path) -> None:
    """Until there is something to continue from."""
    end = time.monotonic() + 240
    while not list(output.glob("work/*/shard_*.npz")) and process.poll() is None:
        assert time.monotonic() < end
        time.sleep(0.01)


PAGE = Path(__file__).resolve().parents[2] / "docs" / "evaluate.md"


def test_the_page_explains_every_option_and_no_other() -> None:
    explained = re.findall(r"^\| `(\w+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert explained == list(EvaluateConfig.__dataclass_fields__)


def test_the_commands_of_the_page_are_understood() -> None:
    text = PAGE.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = re.findall(r"anycost(?: |\.commands\.)evaluate (\w+=.*)", text)
    assert len(lines) == 6
    for line in lines:
        config = parse(EvaluateConfig, [word for word in line.split() if not is_data(word)], None)
        assert config
        protocols(config.metrics)
