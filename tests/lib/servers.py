# SPDX-License-Identifier: Apache-2.0
"""Real servers on loopback: Debian's docker-registry, and nginx in front of its files."""

import collections
import contextlib
import ctypes
import os
import pathlib
import re
import shutil
import socket
import subprocess
import time

SO_MAX_PACING_RATE = 47  # Linux's; Python has no name for it
GUARD_S = 120  # a hang is a failure; nothing else is timed

Access = collections.namedtuple("Access", "method path status bytes range")


def wait_for(what, condition, guard_s=GUARD_S, pause_s=0.005):
    """Call `condition` until its result is true, and return that."""
    deadline = time.monotonic() + guard_s
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {guard_s} s in vain: {what}")
        time.sleep(pause_s)


def connections(port):
    """The number of TCP connections that the server at `port` still has open."""
    count = 0
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(FileNotFoundError), open(table) as lines:
            for line in list(lines)[1:]:
                fields = line.split()
                local_port, state = int(fields[1].rsplit(":", 1)[1], 16), fields[3]
                if local_port == port and state not in ("0A", "06", "07"):  # listen, time-wait, closed
                    count += 1
    return count


def bcrypt(password):
    """A hash for an htpasswd file, from the library of login(1), because newer Pythons have no crypt module."""
    crypt = ctypes.CDLL("libcrypt.so.1").crypt
    crypt.restype = ctypes.c_char_p
    return crypt(password.encode(), b"$2b$04$" + b"." * 22).decode()


class Server:
    """A server process with a directory of its own. Subclasses start it and read its access log."""

    port = None
    process = None

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.log = self.directory / "access.log"
        self.errors = self.directory / "error.log"

    def spawn(self, command):
        with open(self.log, "wb") as out, open(self.errors, "wb") as err:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err)

    def alive(self):
        if self.process.poll() is not None:
            raise AssertionError(f"{type(self).__name__} ended: {self.errors.read_text()}")
        return True

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def url(self, name, digest):
        return f"http://{self.address}/v2/{name}/blobs/{digest}"

    def settle(self):
        """Wait for the end of every connection, because a request is logged when it ends."""
        wait_for(f"the connections of {self.address} to end", lambda: connections(self.port) == 0)

    def accesses(self, since=0):
        """The requests logged so far, those after the first `since`."""
        found = (self.parse(line) for line in self.log.read_text().splitlines())
        return [access for access in found if access][since:]

    def blob_gets(self, digest="", since=0):
        return [a for a in self.accesses(since) if a.method == "GET" and f"/blobs/{digest}" in a.path]

    def parse(self, line):
        raise NotImplementedError


class Registry(Server):
    """
    docker-registry. `password`: required, with the user `tester`. `token`: (realm, certificate of the signer), which
    requires tokens of issuer and service `tests`. `tls`: (certificate, key).
    """

    PATTERN = re.compile(r'"(\S+) (\S+) HTTP/[0-9.]+" (\d+) (\d+)')

    def __init__(self, directory, password=None, token=None, tls=None):
        super().__init__(directory)
        self.password, self.token, self.tls = password, token, tls
        config = self.directory / "config.yml"
        config.write_text(self.config())
        self.spawn(["docker-registry", "serve", str(config)])
        self.port = wait_for("the registry to listen", self.listening)

    def config(self):
        text = (
            "version: 0.1\n"
            "log: {level: info, accesslog: {disabled: false}}\n"
            f"storage: {{filesystem: {{rootdirectory: {self.directory}/data}}, delete: {{enabled: true}}}}\n"
            'http: {addr: "127.0.0.1:0", secret: tests'
        )
        text += ", tls: {{certificate: {}, key: {}}}}}\n".format(*self.tls) if self.tls else "}\n"
        if self.password:
            users = self.directory / "htpasswd"
            users.write_text(f"tester:{bcrypt(self.password)}\n")
            text += f"auth: {{htpasswd: {{realm: tests, path: {users}}}}}\n"
        if self.token:
            realm, certificate = self.token
            text += (
                f'auth: {{token: {{realm: "{realm}", service: tests, issuer: tests, rootcertbundle: {certificate}}}}}\n'
            )
        return text

    def listening(self):
        self.alive()
        found = re.search(r'msg="listening on 127\.0\.0\.1:(\d+)[",]', self.errors.read_text())
        return int(found[1]) if found else None

    def blob_file(self, digest):
        algorithm, _, digits = digest.partition(":")
        return self.directory / f"data/docker/registry/v2/blobs/{algorithm}/{digits[:2]}/{digits}/data"

    def parse(self, line):
        found = self.PATTERN.search(line)
        return Access(found[1], found[2], int(found[3]), int(found[4]), "") if found else None


class Nginx(Server):
    """
    nginx. It serves `registry` under /v2/, with blobs from the registry's files, and the directory `files` under
    /files/. `rate`: limit of each request ("50m": 50 MB/s; None: no limit), of which the first second's bytes are sent
    at once. `paced`: bytes per second that the kernel sends on each connection. `http` and `server`: more lines of
    those blocks.
    """

    def __init__(self, directory, rate=None, registry=None, files=None, paced=None, http="", server=""):
        super().__init__(directory)
        self.rate, self.registry, self.files, self.paced = rate, registry, files, paced
        self.http, self.server = http, server
        if paced:
            self.start_paced()
            return
        for _ in range(5):  # another process may take the free port before nginx does
            self.port = self.free_port()
            config = self.directory / "nginx.conf"
            config.write_text(self.config())
            self.process = subprocess.Popen(
                [*self.prefix(), "nginx", "-p", str(self.directory), "-c", str(config), "-e", str(self.errors)],
                stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )
            with contextlib.suppress(AssertionError):
                wait_for("nginx to listen", self.listening)
                return
        raise AssertionError(f"nginx does not start: {self.errors.read_text()}")

    def start_paced(self):
        """Hand nginx a paced listening socket, as in an upgrade. Accepted connections inherit the pacing."""
        with socket.socket() as listening:
            listening.setsockopt(socket.SOL_SOCKET, SO_MAX_PACING_RATE, self.paced)
            listening.bind(("127.0.0.1", 0))
            listening.listen(512)
            self.port = listening.getsockname()[1]
            config = self.directory / "nginx.conf"
            config.write_text(self.config())
            self.process = subprocess.Popen(
                ["nginx", "-p", str(self.directory), "-c", str(config), "-e", str(self.errors)],
                env={**os.environ, "NGINX": f"{listening.fileno()};"}, pass_fds=[listening.fileno()],
                stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )
        wait_for("nginx to open its log", lambda: self.alive() and self.log.exists())  # connections succeed before that

    def config(self):
        temporary = "\n".join(
            f"    {kind}_temp_path {self.directory}/temporary;"
            for kind in ("client_body", "proxy", "fastcgi", "scgi", "uwsgi")
        )
        return f"""
daemon off;
{"user root;" if os.geteuid() == 0 else ""}
worker_processes 1;
pid {self.directory}/pid;
events {{ }}
http {{
{temporary}
    log_format tests '$request_method $uri $status $body_bytes_sent $http_range';
    access_log {self.log} tests;
    sendfile_max_chunk 256k;
    {f"limit_rate {self.rate};" if self.rate else ""}
    {self.http}
    server {{
        {self.listen()}
        client_max_body_size 0;
        default_type application/octet-stream;
        {self.server}
        {self.registry_locations() if self.registry else ""}
        {f"location /files/ {{ alias {self.files}/; }}" if self.files else ""}
    }}
}}
"""

    def free_port(self):
        return free_port()

    def listen(self):
        return f"listen 127.0.0.1:{self.port};"

    def prefix(self):
        """The prefix of the command."""
        return []

    def registry_locations(self):
        blobs = self.registry.directory / "data/docker/registry/v2/blobs"
        return f"""
        location ~ "^/v2/.+/blobs/(sha256|sha512):(..)([0-9a-f]+)$" {{ alias {blobs}/$1/$2/$2$3/data; }}
        location /v2/ {{ proxy_pass http://{self.registry.address}; proxy_set_header Host $http_host; }}
"""

    def listening(self):
        self.alive()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
            return True
        return False

    def parse(self, line):
        method, path, status, sent, wanted = line.split(maxsplit=4)
        return Access(method, path, int(status), int(sent), wanted)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def room_for(size, *places):
    """The first of these directories with `size` bytes free, or None."""
    for place in places:
        if os.path.isdir(place) and shutil.disk_usage(place).free > size:
            return place
    return None


def own_address():
    """A non-loopback address of this machine, or None. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        try:
            s.connect(("192.0.2.1", 9))
        except OSError:
            return None
        return s.getsockname()[0]


def loopback_names():
    """Names other than localhost that resolve to loopback addresses."""
    for name in ("ip6-localhost", "ip6-loopback", socket.gethostname()):
        try:
            found = {info[4][0] for info in socket.getaddrinfo(name, 443)}
        except OSError:
            continue
        if found and all(a == "::1" or a.startswith("127.") for a in found):
            yield name
