"""`python -m mlcicd_assets.cli`: the same as `mlcicd`, for the interpreter that is asked."""

from mlcicd_assets.cli import main

if __name__ == "__main__":
    main()
