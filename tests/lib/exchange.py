# SPDX-License-Identifier: Apache-2.0
"""
A compromised ingestd at work in its own directory: it exchanges the sealed data for other bytes of the same length,
mode and times, over and over, until the ingest is gone. It prints a line when it begins.

    python3 exchange.py INGEST ID...
"""

import ctypes
import errno
import os
import sys

RENAME_EXCHANGE, AT_FDCWD = 2, -100
EVIL = "evil"


def main(ingest, *ids):
    libc = ctypes.CDLL(None, use_errno=True)
    print("ready", flush=True)
    for name in ids:
        data, evil = (os.path.join(ingest, name, file).encode() for file in ("data", EVIL))
        while os.path.exists(os.path.dirname(data)):
            while libc.renameat2(AT_FDCWD, data, AT_FDCWD, evil, RENAME_EXCHANGE) == 0:
                pass
            if ctypes.get_errno() != errno.ENOENT:
                sys.exit(f"cannot exchange '{data.decode()}': {os.strerror(ctypes.get_errno())}")


if __name__ == "__main__":
    main(*sys.argv[1:])
