"""The commands of `videoworker`. Each has a file of its name. The other files hold what several of them share."""
