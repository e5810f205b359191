# SPDX-License-Identifier: Apache-2.0
"""
A reader that locks everything that it can open, until standard input ends:

    python3 lockall.py DIR...        prints the number of locked files and directories
"""

import fcntl
import os
import sys


def main(*places):
    held = []
    for place in places:
        for directory, _, files in os.walk(place):
            for path in (directory, *(os.path.join(directory, name) for name in files)):
                try:
                    held.append(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW))
                    fcntl.flock(held[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    continue
    print(len(held), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
