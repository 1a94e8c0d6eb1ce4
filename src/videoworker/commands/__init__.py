"""The commands of `videoworker`: one file each, named as the command."""
