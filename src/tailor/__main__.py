"""`python -m tailor`: the same as the command `tailor`."""

from tailor.cli import main

if __name__ == "__main__":
    main()
