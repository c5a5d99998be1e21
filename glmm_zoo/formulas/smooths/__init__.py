"""Penalised smooths as mixed-model terms: splines and their penalties, bases split in two, products, smooths of a predictor."""
