"""``python -m medcls`` is the ``medcls`` command."""

from medcls.cli.app import main

if __name__ == "__main__":
    main()
