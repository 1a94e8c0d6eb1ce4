"""What prints the numbers in the documents."""
