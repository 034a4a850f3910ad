"""Record ``make demo`` as docs/demo.cast (asciicast v2) and draw it as the animated docs/demo.svg.

``python -m dev.record_demo [COMMAND ...]``; needs Node.js, whose npx brings svg-term-cli (pinned below).
"""

import codecs
import json
import os
import pty
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

DOCS = Path(__file__).resolve().parent.parent / "docs"
WIDTH, HEIGHT = 120, 34
LONGEST_PAUSE = 1.5
"""Seconds: nobody wants to watch a cluster come up."""
SVG_TERM = "svg-term-cli@2.1.1"


def record(command: Sequence[str]) -> tuple[list[tuple[float, str]], int]:
    """Run ``command`` in a terminal of its own; return what it wrote and when (pauses shortened), and its exit code."""
    events: list[tuple[float, str]] = []
    clock, last = 0.0, time.monotonic()
    decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def read(descriptor: int) -> bytes:
        nonlocal clock, last
        chunk = os.read(descriptor, 65536)
        now = time.monotonic()
        clock, last = clock + min(now - last, LONGEST_PAUSE), now
        events.append((clock, decoder.decode(chunk)))
        return chunk

    os.environ.update(COLUMNS=str(WIDTH), LINES=str(HEIGHT), TERM="xterm-256color")
    status = pty.spawn(list(command), read)
    return events, os.waitstatus_to_exitcode(status)


def write(events: list[tuple[float, str]], title: str) -> Path:
    """Write the recording, without what tells of the machine it was made on."""
    home = re.compile(re.escape(str(Path.cwd())) + "|" + re.escape(str(Path.home())))
    lines = [json.dumps({"version": 2, "width": WIDTH, "height": HEIGHT, "title": title})]
    lines += [json.dumps([round(at, 3), "o", home.sub("~", text)]) for at, text in [(0.0, f"$ {title}\r\n"), *events]]
    path = DOCS / "demo.cast"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def main(arguments: Sequence[str]) -> int:
    """Record, draw, and return the exit code of what was recorded."""
    command = arguments or ["make", "demo"]
    events, code = record(command)
    if code:
        print(f"{command} ended with {code}: nothing recorded", file=sys.stderr)
        return code
    cast = write(events, " ".join(command))
    drawing = ["--in", str(cast), "--out", str(DOCS / "demo.svg"), "--window", "--no-cursor"]
    subprocess.run(["npx", "--yes", SVG_TERM, *drawing], check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
