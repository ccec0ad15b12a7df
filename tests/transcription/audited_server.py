"""The web server in a process whose every opened, changed or listed file and started program is written down.

Run: python audited_server.py MODEL. Prints the port, serves until standard input ends, then prints the events
as JSON: ``[event, absolute path, whether it may change the file]``. An audit hook cannot be taken away again,
hence a process of its own. What native code opens itself raises no event.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from typing import Any

from asr_adapt.models import load_recogniser
from asr_adapt.transcription.serve import ServerSettings, make_server

#: Events whose first argument names a file; all but ``open`` and the listings change something.
FILE_EVENTS = {
    "open", "os.listdir", "os.scandir", "os.chdir", "os.chmod", "os.link", "os.mkdir", "os.remove",
    "os.rename", "os.rmdir", "os.symlink", "os.truncate", "shutil.copyfile", "shutil.move",
    "shutil.unpack_archive",
}  # fmt: skip
PROGRAM_EVENTS = {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty"}
REMOVALS = {"os.remove", "os.rmdir"}
READING = {"os.listdir", "os.scandir"}
CHANGING_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def described(event: str, arguments: tuple[Any, ...]) -> list[Any] | None:
    """The event as it is reported; None for one that names no file, such as opening a descriptor again."""
    if event in PROGRAM_EVENTS:
        return [event, repr(arguments), True]
    path = arguments[0] if arguments else None
    if event not in FILE_EVENTS or not isinstance(path, (str, bytes, os.PathLike)):
        return None
    if os.sep not in os.fsdecode(path) and event in REMOVALS and arguments[-1] >= 0:
        return None  # a name in a folder that is open already: the opening of that has been written down
    changes = bool(arguments[2] & CHANGING_FLAGS) if event == "open" else event not in READING
    return [event, os.path.abspath(os.fsdecode(path)), changes]  # noqa: PTH100 - pathlib would be audited


def main(model: str) -> None:
    """Serve and report."""
    server = make_server(ServerSettings({"tones": load_recogniser(model, device="cpu")}, 2**20, 5.0))
    events: list[list[Any]] = []

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if (found := described(event, arguments)) is not None:
            events.append(found)

    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.addaudithook(hook)
    print(server.server_address[1], flush=True)
    sys.stdin.read()
    server.shutdown()
    server.server_close()
    seen = list(events)
    print(json.dumps(seen))


if __name__ == "__main__":
    main(sys.argv[1])
