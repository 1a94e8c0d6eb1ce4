"""How the small sound model that ships with the repository is made: its sounds, its training, its evaluation."""
