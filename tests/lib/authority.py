# SPDX-License-Identifier: Apache-2.0
"""A private CA, made with the openssl command, and TLS contexts for servers with its certificates."""

import datetime
import ssl
import subprocess

NAMES = "IP:127.0.0.1,DNS:localhost"
CONFIG = """
[ca]
default_ca = tests
[tests]
database = {0}/issued
new_certs_dir = {0}
rand_serial = yes
unique_subject = no
default_md = sha256
policy = any
[any]
commonName = supplied
"""


def openssl(*words):
    done = subprocess.run(["openssl", *map(str, words)], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, f"openssl {words}: {done.stderr}"


class Authority:
    """A CA in `directory`. Clients that trust it need `certificate`."""

    def __init__(self, directory):
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.key, self.certificate, self.config = directory / "ca.key", directory / "ca.pem", directory / "ca.conf"
        (directory / "issued").touch()
        self.config.write_text(CONFIG.format(directory))
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=private authority",
                "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-keyout", self.key, "-out", self.certificate)

    def issue(self, name, names=NAMES, expired=False):
        """(certificate, key) for the names, valid for two days, or until yesterday."""
        key, request, extensions, certificate = (
            self.directory / f"{name}.{kind}" for kind in ("key", "csr", "ext", "pem")
        )
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", key, "-out", request)
        extensions.write_text(f"subjectAltName={names}\nauthorityKeyIdentifier=keyid\n")
        # `openssl x509` of Debian 12 has no dates, and that of Debian 13 accepts no days below 1.
        now = datetime.datetime.now(datetime.timezone.utc)
        start, end = (f"{now + datetime.timedelta(days=day):%Y%m%d%H%M%SZ}" for day in ((-2, -1) if expired else (-1, 2)))
        openssl("ca", "-batch", "-notext", "-config", self.config, "-cert", self.certificate, "-keyfile", self.key,
                "-startdate", start, "-enddate", end, "-extfile", extensions, "-in", request, "-out", certificate)
        return certificate, key

    def self_signed(self, name):
        """(certificate, key) that is self-signed."""
        key, certificate = self.directory / f"{name}.key", self.directory / f"{name}.pem"
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
                "-addext", f"subjectAltName={NAMES}", "-keyout", key, "-out", certificate)
        return certificate, key

    def context(self, name="server", pair=None, **kind):
        """For a server that requests no client certificate, unless require() is called."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*(pair or self.issue(name, **kind)))
        return context

    def require(self, context):
        """Accept only clients with a certificate of this CA."""
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(self.certificate)
        return context
