"""anycost: one generator, trained once, that runs at any cost."""

__version__ = "0.1.0"
