# SPDX-License-Identifier: Apache-2.0
"""nanomsg for Python, by ctypes, for peers that send what our programs never would."""

import ctypes
import ctypes.util
import os

AF_SP, SOL_SOCKET, RCVTIMEO, SNDTIMEO = 1, 0, 5, 4
PUSH, PULL = 80, 81

_lib = None


def lib():
    global _lib
    if _lib is None:
        _lib = ctypes.CDLL(ctypes.util.find_library("nanomsg"), use_errno=True)
    return _lib


def checked(result):
    if result < 0:
        error = lib().nn_errno()
        raise OSError(error, os.strerror(error))
    return result


class Socket:
    """One end of a pipe. Calls wait at most `timeout_s`, then raise."""

    def __init__(self, protocol, timeout_s=20):
        self.number = checked(lib().nn_socket(AF_SP, protocol))
        for option in (RCVTIMEO, SNDTIMEO):
            self.wait_ms(option, int(timeout_s * 1000))

    def wait_ms(self, option, wait_ms):
        value = ctypes.c_int(wait_ms)
        checked(lib().nn_setsockopt(self.number, SOL_SOCKET, option, ctypes.byref(value), ctypes.sizeof(value)))

    def connect(self, path):
        checked(lib().nn_connect(self.number, f"ipc://{path}".encode()))
        return self

    def bind(self, path):
        checked(lib().nn_bind(self.number, f"ipc://{path}".encode()))
        return self

    def send(self, data):
        checked(lib().nn_send(self.number, data, len(data), 0))

    def receive(self):
        room = ctypes.create_string_buffer(1 << 16)
        size = checked(lib().nn_recv(self.number, room, len(room), 0))
        return room.raw[:size]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        lib().nn_close(self.number)
