"""`anycost benchmark` as a user meets it: its list, prices as JSON lines, the latency table, mistakes."""

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from anycost import commands
from anycost.architecture import ArchitectureSpace
from anycost.commands import main
from anycost.commands.benchmark import BENCHMARKS
from anycost.interchange.weights import Header, write_weights
from anycost.networks.generator import Generator

EVOLVED = Path(__file__).parents[1] / "pricing" / "evolved.json"
CONFIG_F = ["model=config_f", "model.resolution=1024"]
TINY = ["model=small", "model.resolution=16", "model.latent_dim=8", "model.mapping_layers=1"]


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def failure(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["benchmark", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    return captured.err


def test_benchmarks_are_the_files_of_the_folder() -> None:
    folder = Path(commands.__file__).parent / "benchmarks"
    files = {file.stem for file in folder.glob("*.py") if "\ndef main(" in file.read_text(encoding="utf-8")}
    assert files == set(BENCHMARKS)


@pytest.mark.parametrize("name", [None, *BENCHMARKS])
def test_help(name: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["benchmark", *([name] if name else []), "--help"]) == 0
    out = capsys.readouterr().out
    assert all(one in out for one in (BENCHMARKS if name is None else ["options:"]))
    assert "MISSING" not in out


def test_prices_need_no_torch() -> None:
    command = ["-X", "importtime", "-m", "anycost", "benchmark", "price", *CONFIG_F]
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, timeout=240, check=True)
    assert json.loads(done.stdout)["macs_paper"] == 144365170309
    loaded = {line.rpartition("|")[2].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert "anycost" in loaded
    assert not loaded & {"torch", "hydra", "wandb"}


# ---- prices


def test_one_price(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["benchmark", "price", *CONFIG_F, "architecture=0.5@256"]) == 0
    assert lines(capsys) == [
        {
            "architecture": "0.5@256",
            "label": "0.5@256",
            "resolution": 256,
            "channels": [512] * 8 + [256, 256, 128, 128, 64, 64, 32, 32, 16, 16],
            "macs": 14903664640,
            "macs_paper": 28903609401,
            "parameters": 24767458,
            "activation_bytes": 59179008,
        }
    ]


def test_an_official_file_has_several(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["benchmark", "price", *CONFIG_F, "architecture=full@256", f"architectures=[{EVOLVED}]"]) == 0
    full, *evolved = lines(capsys)
    assert full["macs_paper"] == 85130735289
    published = json.loads(EVOLVED.read_text())
    assert {one["architecture"]: one["macs_paper"] for one in evolved} == {
        name: entry["macs"] for name, entry in published.items()
    }
    assert main(["benchmark", "price", *CONFIG_F, f"architecture={EVOLVED}:18G"]) == 0
    assert [one["macs_paper"] for one in lines(capsys)] == [17865820089]


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A run folder with the weights of a tiny generator."""
    generator = Generator(ArchitectureSpace(16, 0.125, 64, 2), latent_dim=8, mapping_layers=1)
    tensors = {f"generator.{key}": value for key, value in generator.state_dict().items()}
    header = Header("training", asdict(generator.space), {"latent_dim": 8, "mapping_layers": 1})
    write_weights(tmp_path / "my run" / "weights.safetensors", tensors, header)
    return tmp_path / "my run"


def test_weights_cost_what_their_model_costs(weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["benchmark", "price", f"weights={weights}", "architectures=full,0.25@8"]) == 0
    of_weights = lines(capsys)
    assert main(["benchmark", "price", *TINY, "architectures=full,0.25@8"]) == 0
    assert of_weights == lines(capsys)
    assert len(of_weights) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "needs the name of a benchmark: price, latency, inference, search, scaling, training"),
        (["prise"], "did you mean price?"),
        (["price"], "weights=RUN or model=NAME"),
        (["price", "model=config_g", "model.resolution=64"], "did you mean config_"),
        (["price", "model.resolution=64"], "model=... does not exist; there are config_e, config_f"),
        (["price", "model=config_f"], "model.resolution=... is needed"),
        (["price", "model=config_f", "model=config_e", "model.resolution=64"], "model=config_f and model=config_e are"),
        (["price", *CONFIG_F, "model.multiplier=1", "model.multiplier=2"], "model.multiplier=1 and model.multiplier=2"),
        (["price", "model=config_f", "model.resolution=many"], "model.resolution=many is not a whole number"),
        (["price", "model=config_f", "model.resolution=48"], "resolution=48 must be a power of two"),
        (["price", "model=config_f", "model.resolution=64", "model.multiplyer=1"], "did you mean multiplier"),
        (["price", *CONFIG_F, "architecture=0.4"], "ratio 0.4 is not one of"),
        (["price", *CONFIG_F, "architecture=0.5@2048"], "resolution 2048 is not one of"),
        (["price", *CONFIG_F, "architecture=half"], "architecture=half is not understood"),
        (["price", *CONFIG_F, "architecture=nowhere.json"], "nowhere.json cannot be read"),
        (["price", *CONFIG_F, f"architecture={EVOLVED}:19G"], "has no entry 19G"),
        (["price", "model=config_e", "model.resolution=1024", f"architecture={EVOLVED}"], "config_e, 1024 px"),
        (["price", "model=config_f", "model.resolution=256", f"architecture={EVOLVED}"], "18 channel counts"),
        (["price", "weights=nowhere"], "weights=nowhere does not exist"),
        (["price", "weights=nowhere", "model=small"], "one of them is enough"),
        (["latency", *TINY, "reductions=1,1000"], "1000x: "),
        (["latency", *TINY, "reductions=0.5"], "must be 1 or more"),
        (["latency", *TINY, "reductions=two"], "are not numbers"),
        (["latency", *TINY, "dtype=float16"], "dtype=float16 is not one of float32, bfloat16"),
        (["latency", *TINY, "executor=fast"], "executor=fast is not one of plain, frozen"),
        (["latency", *TINY, "architectures=full@32"], "resolution 32 is not one of"),
    ],
)
def test_mistakes_are_named(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert said in failure(capsys, *arguments)


@pytest.mark.parametrize("content", ["{", "[1]", '{"channels": "many"}', '{"a": {"channels": [1, 2.5]}}'])
def test_a_bad_json_file_is_named(content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "found.json").write_text(content)
    assert "found.json" in failure(capsys, "price", *CONFIG_F, f"architecture={tmp_path / 'found.json'}")


# ---- latency


def test_latency_of_uniform_architectures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["threads=1", "seconds=0", f"cache={tmp_path}", f"output={tmp_path / 'latency.json'}"]
    assert main(["benchmark", "latency", *TINY, *options]) == 0
    out = capsys.readouterr().out
    assert "executor plain on " in out
    assert "1 thread, float32, batch 1, torch " in out
    assert "Not searched: the dearest uniform architecture that fits each budget." in out
    kept = json.loads((tmp_path / "latency.json").read_text())
    rows = kept["rows"]
    table = [line for line in out.splitlines() if line.startswith("| ")][1:]
    assert len(table) == len(rows)
    assert [line.split(" | ")[2] for line in table] == [row["architecture"] for row in rows]
    assert rows[0]["architecture"] == "full"
    assert rows[0]["speed_up"] == 1
    for row in rows:
        assert row["macs_paper"] <= row["budget_macs_paper"] == rows[0]["macs_paper"] / row["reduction"]
        assert row["fps"] == pytest.approx(1000 / row["ms"])
        assert row["quiet_ms"] > 0
        assert row["error"] == pytest.approx(row["predicted_ms"] / row["quiet_ms"] - 1)
    assert kept["conditions"]["threads"] == 1
    assert kept["prediction"]["architectures"] > 0
    assert len(list((tmp_path / "latency").glob("plain-16px-*.json"))) == 1


def test_latency_of_searched_architectures(weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    space = ArchitectureSpace(16, 0.125, 64, 2)
    full = list(space.full_channels)
    found = {
        "small": {"channels": [16] * len(full), "res": 8, "dist": 0.2},
        "large": {"channels": [64, 64, 64, 64, 32, 64], "res": 16, "dist": 0.1},
    }
    (tmp_path / "result.json").write_text(json.dumps(found))
    options = [f"weights={weights}", f"architectures={tmp_path / 'result.json'}", "predict=false", "seconds=0"]
    options += [f"output={tmp_path / 'latency.json'}", "batch_size=2", "dtype=bfloat16"]
    assert main(["benchmark", "latency", *options]) == 0
    out = capsys.readouterr().out
    assert "bfloat16, batch 2" in out
    assert "Not searched" not in out
    assert "predicted" not in out
    rows = json.loads((tmp_path / "latency.json").read_text())["rows"]
    assert [row["architecture"] for row in rows] == ["full", "large", "small"]
    assert [row["predicted_ms"] for row in rows] == [None] * 3
    assert rows[1]["channels"] == found["large"]["channels"]
    assert rows[2]["fps"] == pytest.approx(2000 / rows[2]["ms"])

    assert main(["benchmark", "latency", *options, "reductions=2"]) == 0
    rows = json.loads((tmp_path / "latency.json").read_text())["rows"]
    assert [row["architecture"] for row in rows] == ["full", "small"]
    assert rows[1]["reduction"] == 2
