# SPDX-License-Identifier: Apache-2.0
"""Images and blobs to pull, pushed to a registry by the distribution spec's monolithic upload."""

import hashlib
import http.client
import json
import os
import urllib.parse

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
PIECE = 1 << 20


def digest_of(data, algorithm="sha256"):
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def digest_of_file(path, algorithm="sha256"):
    running = hashlib.new(algorithm)
    with open(path, "rb") as f:
        while piece := f.read(PIECE):
            running.update(piece)
    return f"{algorithm}:{running.hexdigest()}"


def random_file(path, size):
    """Make an incompressible file. Returns its digest."""
    running = hashlib.sha256()
    with open(path, "wb") as f:
        for start in range(0, size, PIECE):
            piece = os.urandom(min(PIECE, size - start))
            running.update(piece)
            f.write(piece)
    return f"sha256:{running.hexdigest()}"


def descriptor(data, media_type, **more):
    return {"mediaType": media_type, "digest": digest_of(data), "size": len(data), **more}


def config_blob(architecture="amd64"):
    return json.dumps(
        {"architecture": architecture, "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": []}}
    ).encode()


def manifest_blob(config, layers):
    """`layers`: descriptors."""
    return json.dumps(
        {"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(config, CONFIG), "layers": layers}
    ).encode()


def many_names(store, count):
    """
    Write an index.json with that many names, as another tool might, for an empty index that is stored. Returns its digest
    and the size of the file.
    """
    empty = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": []}).encode()
    digest = digest_of(empty)
    blob = store / "blobs" / digest.replace(":", "/")
    if not blob.exists():
        blob.write_bytes(empty)
        blob.chmod(0o444)
    name = "registry.example.org:5000/some/project/image{:05d}:v1.{}"
    entries = [descriptor(empty, INDEX, annotations={"org.opencontainers.image.ref.name": name.format(n, n % 17)})
               for n in range(count)]
    text = json.dumps({"schemaVersion": 2, "manifests": entries}, separators=(",", ":"))
    (store / "index.json.other").write_text(text)
    (store / "index.json.other").rename(store / "index.json")
    return digest, len(text)


class Pusher:
    """
    Pushes into one repository of a registry at HOST:PORT. Every request has `headers` (such as Authorization). `tls`: a
    client's ssl context, for https.
    """

    def __init__(self, address, name, headers=None, tls=None):
        self.address, self.name, self.headers, self.tls = address, name, headers or {}, tls

    def request(self, method, path, body=None, headers=None):
        connection = (
            http.client.HTTPSConnection(self.address, context=self.tls) if self.tls
            else http.client.HTTPConnection(self.address)
        )
        try:
            connection.request(method, path, body, {**self.headers, **(headers or {})})
            response = connection.getresponse()
            text = response.read()
            assert response.status < 300, f"{method} {path}: {response.status} {text!r}"
            return response
        finally:
            connection.close()

    def blob(self, body, digest, size):
        """`body`: bytes, or an open file."""
        where = self.request("POST", f"/v2/{self.name}/blobs/uploads/").getheader("Location")
        parts = urllib.parse.urlsplit(where)
        query = f"{parts.query}&digest={digest}" if parts.query else f"digest={digest}"
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        self.request("PUT", f"{parts.path}?{query}", body, headers)
        return {"mediaType": LAYER, "digest": digest, "size": size}

    def blob_bytes(self, data):
        return self.blob(data, digest_of(data), len(data))

    def blob_file(self, path, digest):
        with open(path, "rb") as f:
            return self.blob(f, digest, os.path.getsize(path))

    def manifest(self, reference, data, media_type=MANIFEST):
        self.request("PUT", f"/v2/{self.name}/manifests/{reference}", data, {"Content-Type": media_type})
        return descriptor(data, media_type)

    def image(self, tag, layers, architecture="amd64"):
        """Push an image of existing layers. Returns the descriptor of its manifest."""
        config = config_blob(architecture)
        self.blob_bytes(config)
        return self.manifest(tag, manifest_blob(config, layers))
