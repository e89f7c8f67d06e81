"""From a configuration to a finished run: processes, initial weights, stages, results."""

from anycost.training.start import Result, run

__all__ = ["Result", "run"]
