"""`anycost search` from its arguments to its files, on a tiny generator."""

import csv
import json
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import pytest
import torch
from PIL import Image

from anycost.architecture import ArchitectureSpace
from anycost.commands import main
from anycost.interchange.weights import Header, write_weights
from anycost.networks.generator import Generator
from anycost.networks.published import VGG16
from anycost.pricing.latency_table import LatencyTable, cached_table
from anycost.pricing.price_list import PriceList
from anycost.reporting import figures

SPACE = ArchitectureSpace(32, 0.0625, 32, 2)  # 153 architectures at 16 and 32 px
PRICES = PriceList(SPACE, 16, 1)


@pytest.fixture(autouse=True)
def _threads_stay() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run."""
    folder = tmp_path_factory.mktemp("runs") / "tiny [1]"
    torch.manual_seed(0)
    generator = Generator(SPACE, latent_dim=16, mapping_layers=1)
    header = Header("training", asdict(SPACE), {"latent_dim": 16, "mapping_layers": 1}, {"data": "faces"})
    folder.mkdir()
    (folder / "run.json").write_text("{}")
    tensors = {f"generator.{name}": tensor for name, tensor in generator.state_dict().items()}
    write_weights(folder / "weights.safetensors", tensors, header)
    return folder


def share(part: float) -> str:
    """A budget between the cheapest and the full architecture."""
    low, high = (PRICES.price(one).macs_paper for one in (SPACE.uniform(0.25, 16), SPACE.full()))
    return f"{(low + part * (high - low)) / 1e6:.4f}M"


def search(run: Path, *arguments: str) -> int:
    given = {one.partition("=")[0] for one in arguments}
    usual = [one for one in (f"weights={run}", "latents=2", "threads=1") if one.partition("=")[0] not in given]
    return main(["search", *usual, *arguments])


def test_the_files_of_a_search(run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
                               tmp_path: Path) -> None:  # fmt: skip
    monkeypatch.setattr("anycost.search.session.cached_table", partial(cached_table, seconds=0.0))
    budgets = [share(0.2), share(0.6), f"{PRICES.price(SPACE.uniform(0.5)).macs / 1e6}Mmac"]
    asked = [f"budget=[{','.join(budgets)}]", f"cache={tmp_path}"]
    assert search(run, *asked) == 0
    out = capsys.readouterr().out
    assert f"budget:  {budgets[0]}mac_paper\n" in out
    assert "the space has 153 architectures" in out
    (folder,) = (run / "search").iterdir()
    result = json.loads((folder / "result.json").read_text())
    names = [budgets[0], budgets[1], budgets[2]]
    assert list(result) == names
    parsed = SPACE.parse_all(f"{folder}/result.json")
    evaluated = {(*one["architecture"]["channels"], one["architecture"]["resolution"]): one["distance"]
                 for one in map(json.loads, (folder / "archive.jsonl").read_text().splitlines())}  # fmt: skip
    for name, entry in result.items():
        assert {"channels", "dist", "res", "macs"} < set(entry), "the official layout"
        assert entry["macs"] == PRICES.price(parsed[name]).macs_paper
        assert parsed[name].to_json() == entry["anycost"]["architecture"]
        assert evaluated[*parsed[name].channels, parsed[name].resolution] == entry["dist"]
        assert entry["dist"] <= entry["anycost"]["uniform"]["distance"]
        assert entry["anycost"]["price"]["latency_ms"] > 0
        assert entry["anycost"]["protocol"]["name"] == "search2_embedded"
    assert parsed[names[0]] == SPACE.parse(f"{folder}/result.json:{names[0]}")
    table = list(csv.DictReader((folder / "front.csv").open()))
    assert {row["budgets"] for row in table} >= {names[0], names[1]}
    front = [float(row["distance"]) for row in table if row["front_macs"] == "1"]
    assert front == sorted(front, reverse=True)
    assert sum(row["uniform"] == "1" for row in table) == 6, "two distinct ones at 16 px, four at 32"
    for name in ("front_macs.png", "front_ms.png", "grid.png"):
        assert min(Image.open(folder / name).size) > 200

    before = {file: (folder / file).read_bytes() for file in ("archive.jsonl", "front.csv", "latency_table.json")}
    assert search(run, *asked) == 0
    assert "the search continues" in capsys.readouterr().err
    assert before == {file: (folder / file).read_bytes() for file in before}


def test_the_table_says_what_was_found_and_what_it_costs_in_its_budget(
    run: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    full = PRICES.price(SPACE.full())
    budgets = [f"{full.macs_paper / 2e6:.2f}M", f"{full.macs / 2e6:.2f}Mmac", f"{full.macs}mac"]
    assert search(run, f"budget=[{','.join(budgets)}]", f"output={tmp_path}", "latency=false") == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    cells = {row[0]: row for row in ([cell.strip() for cell in line.split("│")[1:-1]] for line in lines)}
    result = json.loads((tmp_path / "result.json").read_text())
    for text, field in zip(budgets, ("macs_paper", "macs", "macs"), strict=True):
        entry = result[text]
        resolution, channels = entry["res"], entry["channels"][: {16: 6, 32: 8}[entry["res"]]]
        row = cells[entry["anycost"]["budget"]]
        number, prefix = (row[1].removesuffix("mac").removesuffix("M"), 1e6 if "M" in row[1] else 1)
        assert float(number) * prefix == pytest.approx(entry["anycost"]["price"][field], rel=1e-4)
        assert row[1].endswith(text.lstrip("0123456789."))
        shown, _, widths = row[2].rpartition(" px ")
        assert shown.split()[-1] == str(resolution)
        pairs = [[int(count) for count in part.split("/")] for part in widths.split()]
        assert [count for pair in pairs for count in (pair * 2)[:2]] == channels
    assert cells[budgets[2]][2].startswith("full: 32 px ")


def test_options_that_an_enumeration_ignores_are_named(
    run: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    asked = [f"budget={share(0.2)}", "latency=false"]
    assert search(run, *asked, f"output={tmp_path}", "evaluations=3", "population=2") == 0
    note = "note:    an enumeration ignores evaluations=3, population=2: add method=evolution to use them\n"
    assert note in capsys.readouterr().out
    assert search(run, *asked, f"output={tmp_path}") == 0
    assert "note:" not in capsys.readouterr().out
    chosen = ["evaluations=3", "method=evolution", f"output={tmp_path / 'evolved'}"]
    assert search(run, *asked, *chosen) == 0
    assert "note:" not in capsys.readouterr().out


def test_what_a_busy_machine_measured_is_said_whenever_it_is_used(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*args: object, **options: object) -> LatencyTable:
        table = cached_table(*args, seconds=0.0)  # type: ignore[arg-type]
        return replace(table, error=replace(table.error, median=0.35))

    axes: list[str] = []
    draw = figures.draw_front

    def drawn(*args: object, **options: object) -> object:
        figure = draw(*args, **options)  # type: ignore[arg-type]
        axes.append(" ".join(figure.axes[0].get_xlabel().split()))
        return figure

    monkeypatch.setattr("anycost.search.session.cached_table", busy)
    monkeypatch.setattr(figures, "draw_front", drawn)
    asked = [f"budget={share(0.2)}", f"cache={tmp_path}", f"output={tmp_path / 'own'}"]
    assert search(run, *asked) == 0
    assert "predicted, median error 35 %" in axes[1]
    assert "predicted" not in axes[0]
    archive = (tmp_path / "own" / "archive.jsonl").read_bytes()
    capsys.readouterr()

    monkeypatch.setattr("anycost.search.session.cached_table", lambda *args, **options: pytest.fail("measured again"))
    assert search(run, *asked) == 0
    said = capsys.readouterr().err
    assert said.count("WARNING: predicted milliseconds are not to be trusted, their error was median 35.0%") == 1
    assert f"remove {tmp_path / 'own'} to begin a new one" in said
    assert (tmp_path / "own" / "archive.jsonl").read_bytes() == archive


def test_what_cannot_be_judged_leaves_no_folder_and_is_not_measured(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "hub" / "checkpoints" / VGG16.file
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"damaged")  # an absent file would be downloaded
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("anycost.search.session.cached_table", lambda *args, **options: pytest.fail("measured"))
    for more in ("latency=true", "latency=false"):
        asked = [f"budget={share(0.2)}", "perceptual=lpips", f"cache={tmp_path}", f"output={tmp_path / 'own'}", more]
        assert search(run, *asked) == 2
        said = capsys.readouterr().err
        assert f"{kept} is damaged or another file" in said
        assert "or choose perceptual=embedded" in said
    assert list(tmp_path.iterdir()) == [tmp_path / "hub"]


def test_another_configuration_is_another_folder(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    weights = tmp_path / "alone.safetensors"
    weights.write_bytes((run / "weights.safetensors").read_bytes())
    chosen = ["latency=false", "method=evolution", "evaluations=2", "population=2"]
    for more in (["seed=0"], ["seed=1"], ["latents=3"], ["truncation=0.5"], ["budget=8M"], ["seed=0"]):
        budget = [] if more == ["budget=8M"] else [f"budget={share(0.3)}"]
        assert search(weights, *budget, *chosen, *more) == 0
    # The last digits of distances depend on the number of threads.
    assert search(weights, f"budget={share(0.3)}", *chosen, "threads=2") == 0
    assert len(list((tmp_path / "logs" / "search").iterdir())) == 6


def test_the_folder_of_another_search_is_refused(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "search.json").write_text("{}")
    (tmp_path / "latency_table.json").write_text("{}")
    assert search(run, f"budget={share(0.3)}", f"output={tmp_path}") == 2
    assert f"output={tmp_path} holds another search" in capsys.readouterr().err


def test_milliseconds_need_a_measurement(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert search(run, "budget=[5ms]", "latency=false") == 2
    assert "budget=5ms needs latencies, and none are measured: set latency=true" in capsys.readouterr().err


@pytest.mark.parametrize(("arguments", "message"), [
    (["budget=1k"], "budget=1kmac_paper is below the cheapest architecture: the cheapest costs"),
    (["budget=99G"], "budget=99Gmac_paper is above the full architecture, which then is the best: the cheapest"),
    (["budget=fast"], "budget=fast is not understood"),
    (["budget=[5ms,xms]"], "budget=xms is not understood"),
    ([], "budget=... is needed"),
    (["budget=8M", "method=annealing"], "method=annealing"),
    (["budget=8M", "evaluation=3"], "did you mean evaluations=?"),
])
def test_mistakes_are_explained_before_anything_is_measured(
    arguments: list[str], message: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert search(run, *arguments) == 2
    assert message in capsys.readouterr().err
    assert search(run / "nowhere", "budget=8M") == 2
    assert "nowhere does not exist" in capsys.readouterr().err
