"""A checkpoint on disk: found, fetched, verified, converted."""
