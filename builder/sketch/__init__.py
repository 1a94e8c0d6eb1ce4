"""How the small model that ships with the repository is made: its scenes, its training, its evaluation."""
