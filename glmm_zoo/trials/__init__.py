"""Designs of trials: arms of a meta-analysis, and stepped wedges, which can be simulated too."""
