"""Pictures in, frames out to a file."""
