"""Tables: files and data frames are read and checked, and become columns of NumPy arrays. No PyMC."""
