"""Families: which responses they take, their densities, links and draws."""
