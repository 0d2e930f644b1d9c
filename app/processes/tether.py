"""Tie a child process to its parent, so that even a SIGKILL of the parent leaves no child behind.

Run as a script, this asks the kernel for a SIGTERM at the parent's end and then becomes the child;
`pillarbox dev` and the embedded store start their children through it. A `preexec_fn` would need
fewer lines, but it runs Python between fork and exec, which can deadlock once the parent has
threads; a fresh interpreter cannot. Only Linux has this request; elsewhere the child just starts.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1


def tethered(command: Sequence[str]) -> list[str]:
    """Return the command line that runs `command` for as long as the calling process lives.

    Start it from the main thread: Linux counts the end of the starting thread as the parent's end.
    """
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), *command]


def _become(parent: int, command: Sequence[str]) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGTERM))
        # The parent may have ended before the request was made, and then no signal will come.
        if os.getppid() != parent:
            sys.exit(1)
    os.execv(command[0], list(command))


if __name__ == "__main__":
    _become(int(sys.argv[1]), sys.argv[2:])
