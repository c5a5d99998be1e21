"""One file per model; a file's name is its registration, the function of that name its builder."""
