"""The RunPod entry point: `python handler.py`. The guard keeps child processes of the SDK from loading weights."""

from videoworker.worker.start import main

if __name__ == "__main__":
    main()
