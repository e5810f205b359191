# SPDX-License-Identifier: Apache-2.0
"""A terminal of a given size that runs a program, by means of tmux: send keys, read the screen."""

import os
import shlex
import subprocess

from servers import wait_for


class Terminal:
    def __init__(self, directory, command, columns=80, rows=24, env=None):
        """`directory` holds tmux's socket, so that no other tmux server is reached."""
        self.socket = directory / "tmux"
        environment = {**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", "SHELL": "/bin/sh", **(env or {})}
        self.command = ["tmux", "-S", str(self.socket), "-f", "/dev/null"]
        subprocess.run(
            [*self.command, "new-session", "-d", "-x", str(columns), "-y", str(rows), shlex.join(map(str, command)),
             ";", "set-option", "-g", "status", "off", ";", "set-option", "-g", "remain-on-exit", "on",
             ";", "set-option", "-g", "history-limit", "10000", ";", "resize-window", "-x", str(columns), "-y", str(rows)],
            env=environment, check=True, stdin=subprocess.DEVNULL,
        )

    def tmux(self, *words):
        return subprocess.run([*self.command, *words], check=True, capture_output=True, text=True).stdout

    def type(self, text):
        self.tmux("send-keys", "-l", text)

    def key(self, *names):
        self.tmux("send-keys", *names)

    def screen(self):
        """The visible lines, without empty ones at the end."""
        return self.tmux("capture-pane", "-p").rstrip("\n").split("\n")

    def everything(self):
        """The visible lines and the scrollback."""
        return self.tmux("capture-pane", "-p", "-S", "-").rstrip("\n").split("\n")

    def see(self, *texts):
        """Wait until all texts are on the screen."""

        def seen():
            screen = "\n".join(self.screen())
            return all(text in screen for text in texts)

        try:
            wait_for(f"{texts} on the screen", seen)
        except AssertionError as error:
            raise AssertionError("\n".join([str(error), *self.screen()])) from None

    def has_ended(self):
        return self.tmux("display-message", "-p", "#{pane_dead}").strip() == "1"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run([*self.command, "kill-server"], check=False, capture_output=True)
