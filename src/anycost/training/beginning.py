"""What a stage begins with: its own checkpoint, one that `resume` names, or the weights that `init_from` names."""

import logging
from pathlib import Path
from typing import Any

from anycost import checkpoints
from anycost.configuration.schema import TrainConfig
from anycost.errors import UserError
from anycost.runs import RunDir
from anycost.stages.distill import DistillStage
from anycost.stages.stage import Stage
from anycost.training.initialisation import initial_weights, teacher_weights

log = logging.getLogger(__name__)


def begin(config: TrainConfig, stage: Stage, run: RunDir) -> dict[str, Any]:
    """Put the weights in: those of a checkpoint, else those of `init_from`. Returns the states of the callbacks."""
    content = _checkpoint(config, run)
    if content is not None:
        checkpoints.restore(stage, content)
        log.info("continuing %s at %d images", run.path, stage.clock.images)
        return content["callbacks"]
    found = initial_weights(config, run)
    if found is not None:
        tensors, file = found
        log.info("initialised from %s: %s", file, stage.initialise(tensors))
    elif getattr(stage, "teacher", None) is not None:
        log.warning("stage.consistency.target=teacher with init_from=none: sub-generators imitate random weights")
    if isinstance(stage, DistillStage):
        tensors, file = teacher_weights(config, run)
        log.info("teacher of %s: %s", file, stage.learn_from(tensors))
    return {}


def _checkpoint(config: TrainConfig, run: RunDir) -> dict[str, Any] | None:
    """The checkpoint to continue from: the run's own, else the one that `resume` names."""
    newest = checkpoints.read_newest(run.checkpoints)
    if config.resume in ("auto", "never"):
        return newest
    if newest is not None:
        log.warning("resume=%s is not needed: %s has checkpoints of its own", config.resume, run.path)
        return newest
    path = Path(config.resume).expanduser()
    if path.is_file():
        return checkpoints.read(path)
    found = checkpoints.read_newest(RunDir(path).checkpoints)
    if found is None:
        what = "has no checkpoints" if path.exists() else "does not exist"
        raise UserError(f"resume={path} {what}; use auto, never, a checkpoint or a run folder")
    return found
