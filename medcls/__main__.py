"""The ``medcls`` command, which ``python -m medcls`` is too."""

import sys

from medcls.cli.stopping import stoppable


def main() -> None:
    """Run the command."""
    sys.exit(stoppable(_command))


def _command() -> int:
    from medcls.cli.app import main as run  # takes a while, in which it may be stopped

    return run()


if __name__ == "__main__":
    main()
