"""Trials: arms of studies, stepped wedges, simulation of designs."""
