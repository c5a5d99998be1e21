"""Simulation-based calibration: fits of data that were drawn from the model itself, and where the truth ranks among their draws."""
