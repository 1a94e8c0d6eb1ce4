"""Pictures in, and frames out to a video file."""
