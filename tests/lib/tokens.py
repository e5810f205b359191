# SPDX-License-Identifier: Apache-2.0
"""
Bearer tokens for registries. A Realm issues numbered tokens from a scripted server and protects content with them; a
Signer issues signed ones (RS256, by the openssl command) that Debian's docker-registry accepts.
"""

import base64
import json
import subprocess
import threading
import time
import urllib.parse


def form_of(x):
    """The form fields of a POST."""
    return dict(urllib.parse.parse_qsl(x.handler.rfile.read(int(x.headers["Content-Length"])).decode()))


def query_of(request):
    return urllib.parse.parse_qsl(urllib.parse.urlsplit(request.path).query)


class Realm:
    """A token realm at `path` of a BadServer. `answers`: behaviours for the requests before the first token."""

    def __init__(self, server, path="/token", service="tests", expires_in=300, answers=()):
        self.server, self.path, self.service, self.expires_in = server, path, service, expires_in
        self.made, self.good, self.forms = 0, set(), []
        self.lock = threading.Lock()
        server.on(path, *answers, self.give)

    def give(self, x):
        if x.method == "POST":
            self.forms.append(form_of(x))
        with self.lock:
            self.made += 1
            token = f"canary-token-{self.made}"
            self.good.add(f"Bearer {token}")
        more = {} if self.expires_in is None else {"expires_in": self.expires_in}
        x.answer(200, json.dumps({"token": token, **more}).encode(), {"Content-Type": "application/json"})

    def revoke(self):
        with self.lock:
            self.good.clear()

    def challenge(self, scope="repository:app:pull"):
        return f'Bearer realm="{self.server.url(self.path)}",service="{self.service}",scope="{scope}"'

    def knock(self, x):
        """The answer to the first request, which carries no token: a challenge."""
        assert "Authorization" not in x.headers
        x.answer(401, b"who are you?", {"WWW-Authenticate": self.challenge()})

    def guard(self, behaviour):
        """`behaviour` for requests with a valid token, a challenge for all others."""

        def behave(x):
            if x.headers.get("Authorization") in self.good:
                behaviour(x)
            else:
                x.answer(401, b"who are you?", {"WWW-Authenticate": self.challenge()})

        return behave

    def asked(self):
        return [r for r in self.server.requests if r.path.partition("?")[0] == self.path]


def unpadded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Signer:
    """A key and its certificate, in `directory`."""

    def __init__(self, directory):
        self.key, self.certificate = directory / "token.key", directory / "token.crt"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=tests",
             "-keyout", self.key, "-out", self.certificate],
            check=True, capture_output=True,
        )
        self.chain = ["".join(self.certificate.read_text().splitlines()[1:-1])]

    def token(self, issuer, audience, access, life_s=300):
        now = int(time.time())
        header = {"typ": "JWT", "alg": "RS256", "x5c": self.chain}
        claims = {"iss": issuer, "aud": audience, "sub": "tester", "jti": "1", "access": access,
                  "iat": now, "nbf": now - 10, "exp": now + life_s}
        text = ".".join(unpadded(json.dumps(part).encode()) for part in (header, claims))
        signature = subprocess.run(
            ["openssl", "dgst", "-sha256", "-sign", self.key], input=text.encode(), check=True, capture_output=True
        ).stdout
        return f"{text}.{unpadded(signature)}"

    def realm(self, issuer, life_s=300, password=None):
        """A behaviour: signed tokens for the requested scopes; with `password`, only for the user `tester`."""
        wanted = "Basic " + base64.b64encode(f"tester:{password}".encode()).decode()

        def behave(x):
            if password and x.headers.get("Authorization") != wanted:
                x.answer(401, b"who are you?")
                return
            fields = urllib.parse.parse_qsl(urllib.parse.urlsplit(x.path).query)
            scopes = [value.split(":") for name, value in fields if name == "scope"]
            access = [{"type": kind, "name": name, "actions": actions.split(",")} for kind, name, actions in scopes]
            token = self.token(issuer, dict(fields)["service"], access, life_s)
            x.answer(200, json.dumps({"token": token, "expires_in": life_s}).encode())

        return behave
