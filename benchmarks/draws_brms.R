# The draws of a brms fit as doubles that Python reads: `Rscript draws_brms.R FIT.rds`. In nobody's time.
suppressPackageStartupMessages(library(brms))
path <- commandArgs(trailingOnly = TRUE)[1]
draws <- posterior::as_draws_array(readRDS(path))  # draw, chain, variable; the first index runs fastest
writeBin(as.vector(unclass(draws)), sub("[.]rds$", ".bin", path))
description <- list(shape = dim(draws), names = posterior::variables(draws))
jsonlite::write_json(description, sub("[.]rds$", ".names.json", path))
