"""`python -m glmm_zoo` is the command line, as the console script `glmm-zoo` is."""

from glmm_zoo.cli import main

if __name__ == "__main__":
    main()
