"""The entry point: loads the application, so that Ctrl-C is one line even while it loads."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line; a mistake or Ctrl-C ends in one line, never in a traceback."""
    try:
        from torch_models.commands.app import run

        code = run()
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        code = 130
    except OSError as error:
        if not isinstance(error, BrokenPipeError):  # the reader of a pipe has seen enough
            print(f"error: the output cannot be written: {error.strerror}", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing fails at exit
        code = 1
    sys.exit(code)
