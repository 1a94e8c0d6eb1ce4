"""The RunPod side of the process: start, handler, progress, log, metrics, end."""
