"""Lets ``python -m fleetssh`` do what the console script does."""

from fleetssh.cli.main import run

if __name__ == "__main__":
    run()
