"""The report of a fit: in its file, in a terminal, as a web page."""
