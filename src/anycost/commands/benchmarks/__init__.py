"""One file per benchmark of `anycost benchmark`."""
