"""Which of several processes started together speaks.

Knows the variables of a launcher (``accelerate launch``, ``torchrun``) and its store. Does not know what is
computed. Needs no torch until a process of several fails.
"""

from __future__ import annotations

import os

from asr_adapt.errors import UsageError

#: Seconds to reach the launcher's store; it is on this machine or one network hop away.
STORE_SECONDS = 5


def is_main() -> bool:
    """Whether this process prints results: the first of those started together, or the only one."""
    return os.environ.get("RANK", "0") == "0"


def refuse_standard_input() -> None:
    """Raise UsageError where several processes would read one standard input."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UsageError("several processes cannot share standard input: give a file.")


def may_complain() -> bool:
    """Whether this process tells its error: the first that fails does, the others fail in its wake.

    The launcher's store counts those who ask. If it cannot be reached, every process prints.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return True
    from datetime import timedelta

    from torch.distributed import TCPStore

    try:
        address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        store = TCPStore(address, port, is_master=False, timeout=timedelta(seconds=STORE_SECONDS))
        return store.add(f"asr-adapt/failed/{os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}", 1) == 1
    except (KeyError, ValueError, RuntimeError):
        return True
