"""`python -m glmm_zoo` is the command line."""

from glmm_zoo.cli import main

if __name__ == "__main__":
    main()
