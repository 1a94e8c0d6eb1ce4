"""What prints the numbers in the README."""
