"""A small compiler: from a PyTensor graph to machine code of a function of the unconstrained vector.

`expression` holds the arithmetic and its derivatives. `translate` reads a PyTensor graph into it, with `arrays` of
expressions, `operations` on them and `scalars`. `emit` writes the loops, `loop_body` what is in them, `functions` the
elementary functions. `machine` compiles and calls the code, which `code_cache` keeps; `density` is what the other packages
use. Nothing here knows of models.
"""
