"""The tests. They mirror src/videoworker; what they share stands beside this file."""
