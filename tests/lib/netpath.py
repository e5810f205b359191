# SPDX-License-Identifier: Apache-2.0
"""
A network path: two namespaces with a link between them, NEAR for our programs and FAR for a server, and faults on it.
Needs root; Path.missing() returns what is missing. Names are unique to the process.
"""

import contextlib
import itertools
import os
import pathlib
import re
import subprocess
import sys

from servers import Nginx, wait_for

NEAR, FAR = "10.77.7.1", "10.77.7.2"
HERE = pathlib.Path(__file__).resolve().parent
COUNT = itertools.count(1)


def run(*words, text=None):
    done = subprocess.run([str(word) for word in words], input=text, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(map(str, words))}: {done.stderr}"
    return done.stdout


class Path:
    """The link is called `v` on both sides."""

    def __init__(self):
        name = f"sluice-{os.getpid()}-{next(COUNT)}"
        self.near, self.far = f"{name}-near", f"{name}-far"
        self.cleanup = contextlib.ExitStack()

    @staticmethod
    def missing():
        """Why this machine cannot have a path, or None."""
        if os.geteuid() != 0:
            return "only root can make network namespaces"
        try:
            with Path() as path:
                path.rules("far", "counter")
        except (AssertionError, OSError) as error:
            return f"cannot make network namespaces: {error}"
        return None

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            for space in (self.near, self.far):
                run("ip", "netns", "add", space)
                stack.callback(run, "ip", "netns", "delete", space)
            run("ip", "-n", self.near, "link", "add", "v", "type", "veth", "peer", "name", "v", "netns", self.far)
            for space, address in ((self.near, NEAR), (self.far, FAR)):
                run("ip", "-n", space, "address", "add", f"{address}/24", "dev", "v")
                run("ip", "-n", space, "link", "set", "lo", "up")
                run("ip", "-n", space, "link", "set", "v", "up")
            self.cleanup = stack.pop_all()
        return self

    def __exit__(self, *_):
        self.cleanup.close()

    def inside(self, side):
        """The prefix of a command that runs on that side."""
        return ["ip", "netns", "exec", getattr(self, side)]

    def command(self, side, *words, text=None):
        return run(*self.inside(side), *words, text=text)

    # ── faults ──

    def rules(self, side, *rules, hook="output"):
        """Replace all nft rules by these; without rules, everything passes."""
        lines = "\n".join(f"counter name hits\n{rule}" if rule == "counter" else rule for rule in rules)
        self.command(side, "nft", "-f", "-", text=f"""
table inet faults
delete table inet faults
table inet faults {{
    counter hits {{ }}
    chain fault {{
        type filter hook {hook} priority 0
        {lines}
    }}
}}
""")

    def hits(self, side):
        """The number of packets at `counter name hits`."""
        found = re.search(r"packets (\d+)", self.command(side, "nft", "list", "counter", "inet", "faults", "hits"))
        return int(found[1])

    def link(self, state):
        """Set our side of the link up or down. The other side keeps sending."""
        run("ip", "-n", self.near, "link", "set", "v", state)

    def retransmissions(self):
        """Retransmissions of the server's side so far."""
        return int(re.search(r"TcpRetransSegs +(\d+)", self.command("far", "nstat", "-a", "-s", "-z", "TcpRetransSegs"))[1])

    def rate(self, rate):
        self.command("far", "tc", "qdisc", "add", "dev", "v", "root", "tbf", "rate", rate, "burst", "64k", "latency", "200ms")

    def held_up(self):
        """The number of packets that waited because of the rate."""
        return int(re.search(r"overlimits (\d+)", self.command("far", "tc", "-s", "qdisc", "show", "dev", "v"))[1])

    @contextlib.contextmanager
    def delay(self, delay_ms, jitter_ms):
        """Delay each packet of the server. Yields a function that ends it and returns the number of packets."""
        process = subprocess.Popen(
            [*self.inside("far"), sys.executable, HERE / "delay.py", "7", str(delay_ms), str(jitter_ms)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        try:
            assert process.stdout.readline() == "ready\n", "the packets cannot be held"
            # Not with nft, because not every kernel has its queue statement.
            self.command("far", "iptables", "-A", "OUTPUT", "-p", "tcp", "--sport", "443", "-j", "NFQUEUE", "--queue-num", "7")
            yield lambda: int(process.communicate("", timeout=10)[0] or 0)
        finally:
            process.kill()
            process.communicate()

    def reset(self):
        """Reset every connection of our side. Returns the number."""
        return self.command("near", "ss", "-K", "-H", "-t", "dst", FAR).count("ESTAB")


class FarNginx(Nginx):
    """nginx on the far side of a path, with TLS on port 443, serving /files/ from `files`."""

    def __init__(self, directory, path, files, tls):
        self.path, self.tls = path, tls
        super().__init__(directory, files=files)

    @property
    def address(self):
        return FAR

    def free_port(self):
        return 443

    def listen(self):
        certificate, key = self.tls
        return f"listen {FAR}:443 ssl sndbuf=128k; ssl_certificate {certificate}; ssl_certificate_key {key};"

    def prefix(self):
        return self.path.inside("far")

    def listening(self):
        self.alive()
        return ":01BB " in pathlib.Path(f"/proc/{self.process.pid}/net/tcp").read_text()

    def settle(self):
        """After our side is gone, whose last packet may have been one of those that were lost."""
        self.path.command("far", "ss", "-K", "-H", "-t", "sport", "=", ":443")
        wait_for("the connections to end", lambda: not self.path.command("far", "ss", "-H", "-t", "sport", "=", ":443"))

    def url(self, name):
        return f"https://{FAR}/files/{name}"
