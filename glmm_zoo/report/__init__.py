"""The report of a fit: its answer, figures, tables, words and page, made from the file alone. PyMC comes in with dynamic predictions only."""
