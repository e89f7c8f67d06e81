"""What one folder holds: measurements, searches, logged values, the newest grid, and how its run was configured.

A folder is a run, a stage of a pipeline, a place of `anycost evaluate` or of `anycost search`; folders of such folders
(pipelines, multiruns) are walked through. Runs of a multirun that have measured nothing yet are found too.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

import yaml

from anycost.architecture import Architecture
from anycost.attempts import read_attempts
from anycost.configuration.stage_schema import PIPELINE
from anycost.errors import UserError
from anycost.interchange.locating import WEIGHTS, weights_identity
from anycost.loggers.table import Row, read_rows
from anycost.metrics.records import Measurement, read_measurements
from anycost.pricing.price_list import Price, PriceList
from anycost.reporting.models import price_list
from anycost.reporting.searches import RESULT, SearchView, read_front, read_search

_DEPTH = 4
_MULTIRUN = "multirun.yaml"
_EXPERIMENTS = "+experiments@_global_"


@dataclass(frozen=True)
class Multirun:
    """What Hydra wrote of a sweep into its folder.

    Args:
        keys: what the command line set, swept or not, but for the seed.
        seeds: those that it asked for.
        experiments: the files of a table's rows, in their order.
    """

    folder: Path
    keys: Sequence[str] = ()
    seeds: Sequence[int] = ()
    experiments: Sequence[str] = ()


@dataclass(frozen=True)
class RunResults:
    """Everything found in one folder.

    Args:
        name: the folder as the user would recognise it: with its parents up to the one that was named.
        config: the resolved configuration, empty where the folder is no run's.
        record: run.json: stage, data, state, images.
        measurements: of training, oldest first, then of `anycost evaluate`.
        rows: metrics.csv.
        grid: the newest sample grid; `reals` the training images.
        weights: identity of the weights file, empty where there is none.
        prices: of this generator's architectures, where it is known.
        multirun: the sweep that it belongs to; `job` is the configuration of its job there, which of a stage of a
            pipeline is the pipeline's.
        error: the last line of what its last attempt failed with.
    """

    name: str
    folder: Path
    config: Mapping[str, Any] = field(default_factory=dict)
    record: Mapping[str, Any] = field(default_factory=dict)
    measurements: Sequence[Measurement] = ()
    searches: Sequence[SearchView] = ()
    rows: Sequence[Row] = ()
    grid: Path | None = None
    weights: str = ""
    prices: PriceList | None = None
    multirun: Multirun | None = None
    job: Mapping[str, Any] = field(default_factory=dict)
    attempt: str = ""
    error: str = ""

    def price(self, architecture: Architecture) -> Price | None:
        """What an architecture costs; None where the generator is not known, or has no such architecture (pictures)."""
        if self.prices is None:
            return None
        full, counts = self.prices.space.full_channels, architecture.channels
        own = len(counts) == len(full) and all(1 <= count <= most for count, most in zip(counts, full, strict=True))
        if not own or not 4 <= architecture.resolution <= self.prices.space.resolution:
            return None
        return self.prices.price(architecture)

    @property
    def stage(self) -> str:
        return self.record.get("stage", "")

    @property
    def state(self) -> str:
        """`finished`, `stopped`, `failed`, `requeued`, `running` (or killed), or `not started`."""
        if not self.record:
            return self.attempt or "not started"
        state = str(self.record.get("state", ""))
        return self.attempt or state if state == "running" else state

    @property
    def kimg(self) -> float:
        return self.record.get("images", 0) / 1000

    @property
    def seed(self) -> int | None:
        return self.config.get("seed")


def gather(paths: Sequence[str]) -> list[RunResults]:
    """The results of all folders that `paths` name, in their order; raises `UserError` where nothing is to report."""
    if not paths:
        raise UserError("anycost report needs the folder of a run, for example anycost report logs/train/runs/NAME")
    roots: dict[Path, Path] = {}
    for root in map(_existing, paths):
        for folder in _walk(root):
            roots.setdefault(folder, root)
    sweeps: dict[Path, Multirun] = {}
    found = {folder: _read(folder, name, sweeps) for folder, name in _names(roots).items()}
    if not any(run.measurements or run.searches for run in found.values()):
        raise UserError(f"nothing has been measured in {', '.join(paths)} yet; {_remedy(found, paths[0])}")
    return list(found.values())


def _existing(text: str) -> Path:
    path = Path(text).expanduser()
    if path.is_file():
        raise UserError(f"{text} is a file; give the folder of a run: {path.parent}")
    if not path.exists():
        raise UserError(
            f"{text} does not exist; give the folder of a run, a pipeline, a multirun, an evaluation or a search"
        )
    return path.resolve()


def _walk(folder: Path, depth: int = 0) -> Iterator[Path]:
    """`folder` where it holds results itself, else those below it; stages in their order, others by name."""
    if _holds_results(folder) or _is_waiting(folder):
        yield folder
    if (folder / "run.json").exists() or (folder / RESULT).exists() or depth == _DEPTH:
        return
    children = [child for child in folder.iterdir() if child.is_dir() and child.name not in ("search", "evaluation")]
    if any(child.name in PIPELINE for child in children):
        children = [child for child in children if child.name in PIPELINE]  # not those that were set aside
    for child in sorted(children, key=_order):
        yield from _walk(child, depth + 1)


def _order(folder: Path) -> tuple[int, int, str]:
    stage = PIPELINE.index(folder.name) if folder.name in PIPELINE else len(PIPELINE)
    return stage, int(folder.name) if folder.name.isdigit() else 0, folder.name


def _holds_results(folder: Path) -> bool:
    names = ("run.json", "metrics.jsonl", "evaluation/records.jsonl", "records.jsonl", RESULT)
    return any((folder / name).is_file() for name in names) or any(folder.glob(f"search/*/{RESULT}"))


def _is_waiting(folder: Path) -> bool:
    """Whether it is a job of a multirun of which nothing but the configuration is known."""
    job = (folder / "config.yaml").is_file() and (folder.parent / _MULTIRUN).is_file()
    return job and not any((folder / stage).is_dir() for stage in PIPELINE)


def _read(folder: Path, name: str, sweeps: dict[Path, Multirun]) -> RunResults:
    """The results in a folder; `sweeps` keeps the multiruns that were read."""
    config = _read_yaml(folder / "config.yaml")
    sweep = next((parent for parent in folder.parents[:2] if (parent / _MULTIRUN).is_file()), None)
    if sweep and sweep not in sweeps:
        sweeps[sweep] = _multirun(sweep)
    attempts = read_attempts(folder)
    weights = folder / WEIGHTS
    searches = [file.parent for file in sorted(folder.glob(f"search/*/{RESULT}"))]
    if (folder / RESULT).is_file():
        searches.append(folder)
    grids = sorted(folder.glob("grids/kimg_*.png"))
    prices = _prices(weights, config, folder)
    return RunResults(
        name=name,
        folder=folder,
        config=config,
        record=_read_json(folder / "run.json"),
        measurements=[
            one
            for file in ("metrics.jsonl", "evaluation/records.jsonl", "records.jsonl")
            for one in _measurements(folder / file)
        ],
        searches=[
            *(read_search(search, name) for search in searches),
            *(read_front(file, name) for file in sorted(folder.glob("search/front_kimg_*.json"))[-1:]),
        ],
        rows=_rows(folder / "metrics.csv"),
        grid=grids[-1] if grids else None,
        weights=weights_identity(weights) if weights.is_file() else "",
        prices=prices,
        multirun=sweeps[sweep] if sweep else None,
        job=config if sweep in (None, folder.parent) else _read_yaml(folder.parent / "config.yaml"),
        attempt=attempts[-1].state if attempts else "",
        error=attempts[-1].error if attempts else "",
    )


def _multirun(folder: Path) -> Multirun:
    hydra = _read_yaml(folder / _MULTIRUN).get("hydra") or {}
    texts = (hydra.get("overrides") or {}).get("task") or ()
    overrides = dict(str(text).split("=", 1) for text in texts if "=" in text)
    params = (hydra.get("sweeper") or {}).get("params") or {}
    names = [text.strip() for text in str(params.get(_EXPERIMENTS, "")).split(",")]
    seeds = [int(text) for text in overrides.pop("seed", "").split(",") if text.strip().isdigit()]
    return Multirun(folder, [key.lstrip("+") for key in overrides], seeds, [name for name in names if name])


def _prices(weights: Path, config: Mapping[str, Any], folder: Path) -> PriceList | None:
    described = _read_json(folder / "generator.json")
    try:
        return price_list(weights, config, described)
    except (KeyError, TypeError) as error:
        file = folder / ("generator.json" if described else "config.yaml")
        raise UserError(f"{file} does not say what the generator is ({error}); move it away") from error


def _rows(path: Path) -> list[Row]:
    try:
        return read_rows(path)
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is not a table of logged values ({error}); move it away") from error


def _measurements(path: Path) -> list[Measurement]:
    try:
        found = read_measurements(path)
        if unusable := [one.value for one in found if not isfinite(one.value)]:
            raise ValueError(f"a value is {unusable[0]}")
        return found
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is not a file of records: {error}; measure again, or move it away") from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return _object(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}
    except ValueError as error:
        raise UserError(f"{path} is not JSON: {error}") from error


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        return _object(yaml.safe_load(path.read_text(encoding="utf-8")) or {}) if path.is_file() else {}
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f"{path} is not YAML: {error}") from error


def _object(content: Any) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise ValueError("it holds no names with values")
    return content


def _remedy(found: Mapping[Path, RunResults], path: str) -> str:
    if trained := [folder for folder, run in found.items() if run.weights]:
        path = path if len(trained) == 1 else str(trained[-1])  # a multirun has no weights of its own
        return f"anycost evaluate weights={path} measures, anycost search weights={path} searches"
    if found:
        return "training measures at its end, or every metrics.every_kimg; anycost evaluate needs a finished stage"
    return "give the folder of a run, a pipeline, a multirun, an evaluation or a search"


def _names(roots: Mapping[Path, Path]) -> dict[Path, str]:
    """Each folder from the one that the user named on, with as many parents before it as tell all apart."""
    depths = {folder: len(folder.relative_to(root).parts) + 1 for folder, root in roots.items()}
    while True:
        names = {folder: "/".join(folder.parts[-depth:]) for folder, depth in depths.items()}
        twice = [folder for folder, name in names.items() if list(names.values()).count(name) > 1]
        if not twice:
            return names
        for folder in twice:
            depths[folder] += 1
