"""Pictures in, frames out to a video file, and marks on it."""
