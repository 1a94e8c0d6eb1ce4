"""The commands of `videoworker`. Each has a file of its name. `model_arguments` is what several of them take."""
