"""Changes of variables between what the graph has and what the sampler moves, one to a file. They are frozen."""
