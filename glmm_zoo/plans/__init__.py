"""Plans: what a builder reads and checks before PyMC is imported."""
