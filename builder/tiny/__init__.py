"""Random small checkpoints in the layout of the real ones, one file per family, each with `save(folder, variant)`."""
