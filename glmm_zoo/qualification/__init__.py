"""Whether this installation does what it should: its files and versions, numbers that are known, and the user's own cases."""
