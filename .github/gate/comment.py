"""One comment in a pull request, written anew or brought up to date: what the gate found.

Knows GitHub's REST API for comments; needs the standard library alone. Does not judge. The comment is
recognised by a mark that names the baseline, so that two gates in one pull request have a comment each.
"""

from __future__ import annotations

import json
import os
import re
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

#: GitHub takes no longer comment.
LONGEST = 65_000


def ask(method: str, url: str, token: str, value: Any = None) -> tuple[Any, str]:
    """The answer, and the address of the next page if there is one."""
    request = urllib.request.Request(
        url, method=method, data=None if value is None else json.dumps(value).encode()
    )
    for name, text in (
        ("Authorization", f"Bearer {token}"),
        ("Accept", "application/vnd.github+json"),
        ("Content-Type", "application/json"),
    ):
        request.add_header(name, text)
    with urllib.request.urlopen(request, timeout=30) as answer:
        found = re.search(r'<([^>]+)>; rel="next"', answer.headers.get("Link") or "")
        return json.load(answer), found[1] if found else ""


def main() -> int:
    """Write the comment; a refusal is a warning, for the verdict stands in the job summary too."""
    given = os.environ
    mark = f"<!-- asr-adapt gate: {given['BASELINE'].replace('--', '- -')} -->"
    text = Path(given["MARKDOWN"]).read_text(encoding="utf-8")
    if len(text) > LONGEST:
        text = text[:LONGEST] + "\n\n… the rest is in the job summary.\n"
    body = {"body": f"{mark}\n{text}"}
    issues = f"{given['GITHUB_API_URL']}/repos/{given['GITHUB_REPOSITORY']}/issues"
    token = given["TOKEN"]
    try:
        page = f"{issues}/{given['NUMBER']}/comments?per_page=100"
        ours = None
        while page and ours is None:
            comments, page = ask("GET", page, token)
            ours = next((one["id"] for one in comments if one["body"].startswith(mark)), None)
        if ours is None:
            ask("POST", f"{issues}/{given['NUMBER']}/comments", token, body)
        else:
            ask("PATCH", f"{issues}/comments/{ours}", token, body)
    except (urllib.error.URLError, TimeoutError) as error:
        print(
            f"::warning::The comment could not be written ({error}): give the job the permission "
            "pull-requests: write, or set the input comment to false."
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
