"""A small compiler: from a PyTensor graph to machine code of a function of the unconstrained vector.

`expression` holds the arithmetic and its derivatives, `translate` reads a PyTensor graph into it, `emit` writes the loops,
`machine` compiles, keeps and calls them. Nothing here knows of models.
"""
