"""The typed configuration of a training run: schema, composition, identity."""
