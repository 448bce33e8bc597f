"""Entry point of ``python -m disac`` and of the console script ``disac``."""

from disac.experiments.cli.main import main

if __name__ == "__main__":
    main()
