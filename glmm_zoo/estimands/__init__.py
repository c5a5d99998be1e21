"""What a fit says about people: predictions, comparisons and slopes for a population of groups, from the file alone."""
