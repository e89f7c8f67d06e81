"""Checkpoints: everything that training continues from, and how a damaged one is found out.

No random state is in them, since every draw is a function of (seed, image index).
"""

import logging
import os
import platform
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback

from anycost import __version__
from anycost.configuration.schema import TrainerConfig
from anycost.errors import UserError
from anycost.files import atomic_write

FORMAT = 1
LAST = "last.ckpt"
log = logging.getLogger(__name__)


def environment(trainer: TrainerConfig) -> dict[str, Any]:
    """What must be the same for a resumed run to be exact to the bit."""
    on_gpu = trainer.accelerator != "cpu" and torch.cuda.is_available()
    return {
        "machine": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
        "device": torch.cuda.get_device_name() if on_gpu else "cpu",
        "torch": str(torch.__version__),  # a plain string: its own class is not for weights_only
        "processes": trainer.devices * trainer.num_nodes,
        "threads": torch.get_num_threads(),
        "trainer.micro_batch": trainer.micro_batch,
    }


def capture(stage: Any, callbacks: Iterable[Callback]) -> dict[str, Any]:
    """The content of a checkpoint of `stage` and of the callbacks that own state."""
    return {
        "format": FORMAT,
        "version": __version__,
        "environment": environment(stage.config.trainer),
        "config": asdict(stage.config),
        "images": stage.clock.images,
        "stage": stage.state_dict(),
        "optimizers": {name: adam.state_dict() for name, adam in stage.adam.items()},
        "callbacks": {type(callback).__name__: state for callback in callbacks if (state := callback.state_dict())},
    }


def write(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint whole or not at all."""
    with atomic_write(path) as file:
        try:
            torch.save(content, file)
        except RuntimeError as error:
            if isinstance(error.__context__, OSError):  # torch hides that the disk is full
                raise error.__context__ from None
            raise


def read(path: Path) -> dict[str, Any]:
    """The content of a checkpoint, after its checksums; anything damaged or foreign is a `UserError`."""
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged:
            raise UserError(f"checkpoint {path} is damaged: the checksum of {damaged} is wrong")
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (UserError, MemoryError):
        raise
    except OSError as error:
        raise UserError(f"checkpoint {path} cannot be read: {error.strerror}") from error
    except Exception as error:  # a damaged archive makes the readers of zip and pickle raise nearly every type
        raise UserError(f"checkpoint {path} is damaged: {error or type(error).__name__}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise UserError(f"{path} is not a checkpoint of this version of anycost")
    return content


def candidates(folder: Path) -> list[Path]:
    """The checkpoints of a run that may continue it, newest first."""
    numbered = sorted(folder.glob("kimg_*.ckpt"), reverse=True)
    last = folder / LAST
    same = [path for path in numbered if last.exists() and os.path.samefile(path, last)]
    return ([last] if last.exists() else []) + [path for path in numbered if path not in same]


def read_newest(folder: Path) -> dict[str, Any] | None:
    """The newest whole checkpoint of a run; damaged ones are reported and passed over. None where there is none."""
    found = candidates(folder)
    for path in found:
        try:
            return read(path)
        except UserError as error:
            log.warning("%s; taking the one before", error)
    if found:
        raise UserError(f"all {len(found)} checkpoints in {folder} are damaged; move the folder away, or start a new "
                        "run beside it with resume=never")
    return None


def restore(stage: Any, content: dict[str, Any]) -> None:
    """Put a checkpoint's state into a fresh stage, memory layouts and dtypes included."""
    stage.expect(content["stage"])
    _check_fit(stage, content)
    stage.load_state_dict(content["stage"], assign=True)
    stage.to(torch.float64 if stage.config.trainer.precision == "64" else torch.float32)
    stage.clock.images = content["images"]
    stage.restored_optimizers = content["optimizers"]
    reasons = [
        f"{name} was {before}, is {now}"
        for name, now in environment(stage.config.trainer).items()
        if (before := content["environment"].get(name)) != now
    ]
    if reasons:
        log.warning("continuing, but not exact to the bit: %s", "; ".join(reasons))


def _check_fit(stage: Any, content: dict[str, Any]) -> None:
    own, saved = _shapes(stage.state_dict()), _shapes(content["stage"])
    wrong = [name for name in {**own, **saved} if own.get(name) != saved.get(name)]
    if wrong:
        name = wrong[0]
        raise UserError(
            f"the checkpoint of stage={content['config']['stage']['name']} does not fit this configuration of "
            f"stage={stage.options.name}: {name} is {saved.get(name, 'missing')} in it and {own.get(name, 'missing')} "
            f"here ({len(wrong)} such tensors); start a new run with resume=never"
        )


def _shapes(state: Mapping[str, torch.Tensor]) -> dict[str, list[int]]:
    return {name: list(tensor.shape) for name, tensor in state.items()}
