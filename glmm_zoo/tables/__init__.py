"""Tables: files and data frames in, checked columns out."""
