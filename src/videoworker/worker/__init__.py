"""The RunPod side of the process: the handler, its progress reports, its log and its start."""
