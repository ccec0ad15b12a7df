"""``python -m asr_adapt`` is ``asr-adapt``."""

from asr_adapt.cli.app import main

if __name__ == "__main__":
    main()
