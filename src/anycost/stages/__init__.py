"""LightningModules: what is trained, on what losses."""
