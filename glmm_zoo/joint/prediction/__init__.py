"""Dynamic prediction from a fitted joint model: survival and markers of a subject given its history, and how accurate that is."""
