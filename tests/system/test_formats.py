# SPDX-License-Identifier: Apache-2.0
"""Parse the formats as documented in sluice-store(5), sluice-wire(7) and sluice.conf(5)."""

import hashlib
import os
import re
import struct
import zlib

import pytest

import wire
from conftest import TESTS
from badserver import whole
from images import digest_of
from stages import AGAIN, OK

SOURCES = TESTS.parent
DATA = bytes(range(256)) * 4096  # 1 MiB
DIGEST = digest_of(DATA)
FIRST = DATA[: 3 * 1000]  # not a multiple of a block
SLOT_BYTES = 512


def page(path):
    return (SOURCES / path).read_text()


def rows(text, columns):
    """Rows of tables: lines of tab-separated fields; T{ ... }T is joined."""
    text = re.sub(r"T\{\n(.*?)\nT\}", lambda found: found[1].replace("\n", " "), text, flags=re.DOTALL)
    return [line.split("\t") for line in text.splitlines() if line.count("\t") == columns - 1]


@pytest.fixture
def waiting(box):
    """An ingest that waits for more bytes."""
    box.run("ingestd", "put", "--raw", "--digest", DIGEST, "--size", len(DATA), DIGEST, data=FIRST, want=AGAIN)
    return box


def slot_fields():
    """{description: (offset, bytes)} of a slot. Asserts that they leave no gap."""
    found, at = {}, 0
    for where, length, what in rows(page("man/sluice-store.5"), 3):
        if where.isdigit() and length.isdigit():
            assert int(where) == at, f"a gap before {what}"
            at += int(length)
            found[what.split()[0].strip(":,")] = (int(where), int(length))
    assert at == SLOT_BYTES
    return found


def test_checkpoint(waiting):
    ingest = waiting.ingest(DIGEST)
    data = (ingest / "data").stat()
    slot = (ingest / "checkpoint").read_bytes()[:SLOT_BYTES]
    fields = slot_fields()

    def raw(what):
        at, length = fields[what]
        return slot[at : at + length]

    def number(what):
        return int.from_bytes(raw(what), "big")

    assert raw("\\(dqSLUICECP\\(dq") == b"SLUICECP"
    assert (number("version"), number("algorithm"), number("kind"), number("provenance")) == (1, 1, 0, 0)
    assert number("offset") == len(FIRST)
    assert number("inode") == data.st_ino
    assert (number("its"), slot[48:56]) == (data.st_mtime_ns, data.st_mtime_ns.to_bytes(8, "big"))
    assert int.from_bytes(slot[40:48], "big") == data.st_size
    assert raw("sha256") == hashlib.sha256(DIGEST.encode()).digest()
    rest = len(FIRST) % 64
    assert raw("partial")[:rest] == FIRST[-rest:]
    assert all(word[:4] == bytes(4) for word in re.findall(rb".{8}", raw("eight"), re.DOTALL)), "sha256 in the low half"
    assert number("CRC\\-32") == zlib.crc32(slot[:508])


def test_transfer(waiting):
    known = set()
    for line in page("man/sluice-store.5").partition(".SS transfer")[2].partition(".SS checkpoint")[0].splitlines():
        if line.startswith((".B ", ".BR ")):
            known.update(re.findall(r"[a-z_]+", line[3:]))
    ingest = waiting.ingest(DIGEST)
    lines = (ingest / "transfer").read_text().splitlines()
    record = dict(line.split("=", 1) for line in lines)
    assert lines[-1] == "end=1"
    assert set(record) <= known | {"end"}
    assert record["ref"] == record["digest"] == DIGEST and record["size"] == str(len(DATA))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", record["started"])
    assert ingest.name == hashlib.sha256(DIGEST.encode()).hexdigest()
    assert re.fullmatch(r"ingestd put \d+ since \S+\n", (ingest / "lock").read_text())


def wire_page():
    """{type: (name, fields)} and {field: kind}, from sluice-wire(7)."""
    messages, kinds = {}, {}
    for first, second, third in rows(page("man/sluice-wire.7"), 3):
        if first.isdigit():
            messages[int(first)] = (second, third.split())
        else:
            kinds.update({name: int(second) if second.isdigit() else second for name in first.split()})
    return messages, kinds


def decode(stream):
    """The messages of a stream of frames: (name, {field: value})."""
    messages, kinds = wire_page()
    at = 0
    while at < len(stream):
        (length,) = struct.unpack_from(">I", stream, at)
        frame, at = stream[at + 4 : at + 4 + length], at + 4 + length
        assert frame[:3] == b"SL\x02" and len(frame) == length
        name, fields = messages[frame[3]]
        values, rest = {}, frame[4:]
        for field in fields:
            kind = kinds[field]
            if kind == "rest":
                size, skip = len(rest), 0
            elif kind == "text":
                size, skip = int.from_bytes(rest[:2], "big"), 2
            else:
                size, skip = kind, 0
            value, rest = rest[skip : skip + size], rest[skip + size :]
            values[field] = int.from_bytes(value, "big") if isinstance(kind, int) else value
        assert rest == b"", f"{name} has more than its fields"
        yield name, values


def test_frames(box, bad):
    bad.on("/blob", whole(DATA))
    stream = box.run("fetchd", "get", "--digest", DIGEST, bad.url("/blob"), want=OK).raw
    (hello, _), (opened, about), *chunks, (end, last) = (m for m in decode(stream) if m[0] != "BEAT")
    assert hello == "HELLO"
    assert (opened, about["offset"], about["size"]) == ("OPENED", 0, len(DATA))
    assert {name for name, _ in chunks} == {"CHUNK"}
    at = 0
    for _, chunk in chunks:
        assert chunk["offset"] == at
        at += len(chunk["payload"])
    assert b"".join(chunk["payload"] for _, chunk in chunks) == DATA
    assert (end, last["size"]) == ("END", len(DATA))

    seal = box.run("ingestd", "put", "--digest", DIGEST, DIGEST, data=stream, want=OK).raw
    ((name, sealed),) = decode(seal)
    data = os.stat(box.ingest(DIGEST) / "data")
    assert (name, sealed["ref"], sealed["digest"]) == ("SEALED", DIGEST.encode(), DIGEST.encode())
    assert (sealed["size"], sealed["ino"], sealed["mtime"]) == (len(DATA), data.st_ino, data.st_mtime_ns)
    assert box.run("commitd", "commit", data=seal, want=OK).stdout.strip() == DIGEST


def test_page_has_all_messages():
    """Every message of message.h, with its number and as many fields as in the codec's table. The tests know them too."""
    messages, kinds = wire_page()
    numbers = re.findall(r"MSG_([A-Z_]+) =\s+(\d+),", page("common/wire/message.h"))
    assert {int(number): name for name, number in numbers} == {number: name for number, (name, _) in messages.items()}
    shapes = re.findall(r'\[MSG_[A-Z_]+\] =\s*\{\.name = "([A-Z_]+)",\s*\.fields = \{([^}]*)\}', page("common/wire/codec.c"))
    counts = {name: len(re.findall(r"F_[A-Z_]+", fields)) for name, fields in shapes}
    assert counts == {name: len(fields) for name, fields in messages.values()}
    assert {field for _, fields in messages.values() for field in fields} == set(kinds)
    assert {number: (name, fields.split()) for name, (number, fields) in wire.MESSAGES.items()} == messages
    assert {name: size for name, size in kinds.items() if isinstance(size, int)} == wire.NUMBERS


def keys_of(section):
    """The keys of a section in sluice.conf(5)."""
    text = page("man/sluice.conf.5").partition(f".SH {section}")[2].partition("\n.SH ")[0]
    heads = re.findall(r"^\.TP\n\.BR? (.*)$", text, re.MULTILINE)
    return {key for head in heads for key in re.findall(r"[a-z_]+", head)}


def test_page_has_all_settings(box):
    """sluice.conf(5) has every option that the file may set, shown by --help or not, and every key of a registry."""
    shown = re.findall(r"--([a-z-]+)", box.run("fetchd", "--help", want=OK).stdout.partition("--config")[0])
    rows = re.findall(r'\.name = "([a-z-]+)"', page("fetchd/config/settings.c").partition('"config"')[0])
    assert keys_of("SECTION [fetchd]") == {option.replace("-", "_") for option in shown + rows}
    code = page("fetchd/config/registries.c")
    known = re.findall(r'\.name = "([a-z-]+)"', code) + re.findall(r'strcmp\(key, "([a-z]+)"\)', code)
    assert keys_of("SECTIONS [registry HOST]") == {key.replace("-", "_") for key in known}
