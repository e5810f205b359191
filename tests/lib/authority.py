"""A private certificate authority, by the openssl command, and contexts for servers with its certificates."""

import ssl
import subprocess

NAMES = "IP:127.0.0.1,DNS:localhost"


def openssl(*words):
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


class Authority:
    """Lives in `directory`; `certificate` is what those who trust it need."""

    def __init__(self, directory):
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.key, self.certificate = directory / "ca.key", directory / "ca.pem"
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=private authority",
                "-keyout", self.key, "-out", self.certificate)

    def issue(self, name, names=NAMES, days=2):
        """(certificate, key) for the names; `days` -1: over since yesterday."""
        key, request, extensions, certificate = (
            self.directory / f"{name}.{kind}" for kind in ("key", "csr", "ext", "pem")
        )
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", key, "-out", request)
        extensions.write_text(f"subjectAltName={names}\n")
        openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key, "-CAcreateserial",
                "-days", days, "-extfile", extensions, "-out", certificate)
        return certificate, key

    def self_signed(self, name):
        """(certificate, key) that nobody but itself vouches for."""
        key, certificate = self.directory / f"{name}.key", self.directory / f"{name}.pem"
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
                "-addext", f"subjectAltName={NAMES}", "-keyout", key, "-out", certificate)
        return certificate, key

    def context(self, name="server", pair=None, **kind):
        """For a server. It asks for no certificate of the client unless told so by require()."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*(pair or self.issue(name, **kind)))
        return context

    def require(self, context):
        """Let only those in who have a certificate of this authority."""
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(self.certificate)
        return context
