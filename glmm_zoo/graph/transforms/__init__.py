"""Changes of variables: each file has one, from the values that the sampler moves to a variable of the model, with its Jacobian."""
