"""How far a run has come, as the files in its folder tell it: nothing here waits for the run, or disturbs it.

    config.yaml    what it is to do       metrics.csv    images seen, the present ones
    run.json       how a stage ended      metrics.jsonl  measurements
    wandb.json     where it is found in Weights & Biases

A pipeline's folder holds such a folder for each of its stages.
"""

import json
import os
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from anycost.configuration.stage_schema import PIPELINE
from anycost.stages.clock import whole_batches

_TAIL_BYTES = 16384
_GROUPS = re.compile(r"^(?:stage|data|callbacks|table|seed):.*\n(?:(?: .*)?\n)*", re.MULTILINE)
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # written in C where there is a compiler: four times faster


@dataclass(frozen=True)
class Best:
    """The best measurement by the monitor of the checkpoints (lower is better), and after how many images it was."""

    name: str
    value: float
    images: int


@dataclass(frozen=True)
class Progress:
    """What one run folder tells.

    Attributes:
        config: what is needed of config.yaml, as plain values; empty where there is none.
        stage: the stage of the present; `multires 2/3` in a pipeline.
        images: seen by now; over all stages of a pipeline.
        total_kimg: thousands of images that the run is to see; None where config.yaml does not say.
        state: of run.json (`running`, `stopped`, `finished`), of a pipeline that of its newest stage; "" before any.
            `finished` only where all images of the configuration are seen: it may have grown since.
        wandb: URL, or `offline: wandb sync PATH`; "" where the run does not log there.
    """

    config: Mapping[str, Any]
    stage: str
    images: int
    total_kimg: float | None
    state: str
    best: Best | None
    wandb: str


def read_progress(folder: Path) -> Progress:
    """What the run in `folder` tells of itself; what is missing or damaged there is left out."""
    config = read_config(folder)
    stages = _stages(folder, _mapping(config.get("stage")))
    started = [stage for stage in stages if (stage.folder / "run.json").exists()]
    records = [_mapping(_read_json(stage.folder / "run.json")) for stage in started]
    lengths = [stage.kimg for stage in stages if stage.kimg is not None]
    batch = _whole(_mapping(config.get("data")).get("batch_size"))
    state = str(records[-1].get("state", "")) if records else ""
    if state == "finished" and not (len(started) == len(stages) and _complete(stages[-1], records[-1], batch)):
        state = "stopped"
    return Progress(
        config=config,
        stage=_stage_name(stages, started),
        images=sum(
            max(_whole(record.get("images")), _logged_images(stage.folder))
            for stage, record in zip(started, records, strict=True)
        ),
        total_kimg=sum(lengths) if len(lengths) == len(stages) else None,
        state=state,
        best=next((best for stage in reversed(started) if (best := _best(stage.folder, config))), None),
        wandb=_wandb(started[-1].folder) if started else "",
    )


def read_config(folder: Path) -> Mapping[str, Any]:
    """The groups `_GROUPS` of config.yaml as plain values; empty where there is none that can be read."""
    file = folder / "config.yaml"
    try:
        return _parsed(file, file.stat().st_mtime_ns)
    except OSError:
        return {}


@lru_cache(maxsize=4096)  # for watch=: of all files this is the slowest to read, and it does not change
def _parsed(file: Path, _: int) -> Mapping[str, Any]:
    try:
        groups = "".join(_GROUPS.findall(file.read_text(encoding="utf-8")))
        return _mapping(yaml.load(groups, _Loader))
    except (yaml.YAMLError, ValueError):
        return {}


@dataclass(frozen=True)
class _Stage:
    name: str
    folder: Path
    kimg: float | None


def _stages(folder: Path, options: Mapping[str, Any]) -> list[_Stage]:
    """The stages of a run in their order: one, or those of a pipeline in folders of their own."""
    if options.get("name") == "pipeline":
        return [_Stage(name, folder / name, _kimg(options.get(name))) for name in PIPELINE]
    return [_Stage(str(options.get("name", "")), folder, _kimg(options))]


def _complete(stage: _Stage, record: Mapping[str, Any], batch: int) -> bool:
    """Whether all images are seen."""
    return stage.kimg is None or _whole(record.get("images")) >= whole_batches(stage.kimg, batch or 1)


def _kimg(options: Any) -> float | None:
    kimg = _mapping(options).get("kimg")
    return float(kimg) if isinstance(kimg, int | float) else None


def _stage_name(stages: list[_Stage], started: list[_Stage]) -> str:
    if len(stages) == 1:
        return stages[0].name
    return f"{started[-1].name} {len(started)}/{len(stages)}" if started else "pipeline"


def _logged_images(folder: Path) -> int:
    """Images of the last whole row of metrics.csv: the present, where run.json knows the last checkpoint."""
    for line in tail(folder / "metrics.csv").splitlines(keepends=True)[:0:-1]:
        cell = line.partition(",")[0]
        if line.endswith("\n") and cell.isdigit():
            return int(cell)
    return 0


def tail(path: Path, size: int = _TAIL_BYTES) -> str:
    """The end of a text file, `size` bytes at most; empty where there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(file.seek(0, os.SEEK_END) - size, 0))
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def _best(folder: Path, config: Mapping[str, Any]) -> Best | None:
    """The lowest value of the monitor: the configured one, else the first metric of the full architecture."""
    callbacks = _mapping(config.get("callbacks"))
    monitor = _mapping(callbacks.get("checkpoint")).get("monitor")
    best = None
    for line in _measurements(folder / "metrics.jsonl"):
        monitor = monitor or _key(line)
        if _key(line) == monitor and (best is None or line["value"] < best.value):
            best = Best(monitor.removeprefix("metrics/"), line["value"], _whole(line.get("images")))
    return best


def _measurements(path: Path) -> Iterator[Mapping[str, Any]]:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        try:
            entry = _mapping(json.loads(line))
        except ValueError:
            continue
        if isinstance(entry.get("value"), int | float) and "metric" in entry:
            yield entry


def _key(line: Mapping[str, Any]) -> str:
    """The name of a measurement in metrics.csv."""
    part = f"_{line['part']}" if line.get("part") else ""
    return f"metrics/{line['metric']}{part}_{line.get('label', '')}"


def _wandb(folder: Path) -> str:
    address = _mapping(_read_json(folder / "wandb.json"))
    if not address:
        return ""
    return str(address.get("url") or f"offline: wandb sync {shlex.quote(str(folder / 'wandb'))}/offline-run-*")


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _whole(value: Any) -> int:
    return value if isinstance(value, int) else 0
