"""Inference: from a PyMC model to draws. Sees a model of `graph` and the packages before it, never a builder.

In the order of the steps: `settings`; `row_likelihood`, `predictor_data`, `predictor_approximation` and `approximation` make
a Gaussian approximation; `parameterization` says what the sampler moves; `compile` makes machine code with `kernel`, or
`compile_jax`, in the `coordinates` of the sampler; from `beginnings` `nuts` makes `draws` and
`moments`, as often as `schedule` says; `datatree` and `predictive` make the groups of the tree; `fit` calls them. `quick` is a preview without sampling.
"""
