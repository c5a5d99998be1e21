"""Inference: from a PyMC model to draws."""
