"""Pictures of a fit, one file for each; a picture takes a fit or estimates and computes nothing that `Estimates` have."""
