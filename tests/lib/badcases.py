# SPDX-License-Identifier: Apache-2.0
"""
What servers do wrong: a row for each behaviour, with the outcome at each of the places where it may happen. A
behaviour answers an Exchange `x` in scene `c`: `c.data` is the right content, `c.digest` its digest, `c.other` another
digest that the server has, `c.away` a URL of another server with the content. tests/system/test_bad_server.py plays
the rows.

A row has the exit code of the command, text of its message, the number of requests and the bytes sent in bodies.
"""

import collections
import gzip
import json
import re

from badserver import cut_short, silent, status
from stages import AGAIN, BAD_DATA, DENIED, NOT_FOUND, OK

TOKEN, MANIFEST, FRESH, RESUMED, HEAD = PLACES = ("token", "manifest", "fresh blob", "resumed blob", "head of a manifest")
RETRIES = 2
TRIES = 1 + RETRIES
REDIRECTS_MAX = 8
REALM_REDIRECTS_MAX = 4  # and within the realm alone
FEW = 20  # bytes; shorter than any content
OTHER = "sha256:" + "0" * 64
IN_FLIGHT = 64 << 20  # what sockets may have accepted before the client hung up: twice Linux's maximum

Want = collections.namedtuple("Want", "codes says requests sent")
Case = collections.namedtuple("Case", "name behave wants once slow alone")

CASES = []


def case(name, behave, *wants, once=False, slow=False, alone=False):
    """
    A row. `wants`: dictionaries of places, later ones win. `once`: the server behaves at the next request. `slow`: on
    the server with a short stall_timeout. `alone`: at one place after the other, because they share credentials.
    """
    merged = {place: want for some in wants for place, want in some.items()}
    CASES.append(Case(name, behave, merged, once, slow, alone))


# Amounts of bytes in a scene: a number or a range.


def rest(c):
    return c.rest


def nothing(_):
    return 0


def up_to(number):
    return lambda c: range(c.rest + number + 1)


refused_early = up_to(0)  # the client hangs up after the header, and any part of the body may have been sent


def at(*places):
    """A function that returns the same Want for each of these places."""

    def want(codes, *says, requests=1, sent=None):
        codes = codes if isinstance(codes, tuple) else (codes,)
        sent = sent or (refused_early if BAD_DATA in codes else rest)
        return {place: Want(codes, says, requests, sent) for place in places}

    return want


everywhere, blobs, resumed, fresh = at(TOKEN, MANIFEST, FRESH, RESUMED), at(FRESH, RESUMED), at(RESUMED), at(FRESH)
manifest, token, plain, content = at(MANIFEST), at(TOKEN), at(TOKEN, MANIFEST, FRESH), at(MANIFEST, FRESH, RESUMED)
head = at(HEAD)


def repeated(times):
    return lambda c: range(times * len(c.data) + 1)


def wrong_part(*says, sent=repeated):
    """An answer to a range is wrong in each try, and so is that to everything, which may come one try earlier."""
    return at(RESUMED)(BAD_DATA, *says, requests=range(TRIES, TRIES + 2), sent=sent(TRIES + 1))


def wrong(*says, sent=repeated):
    """What is no answer to the request is requested again, except for a token."""
    return {**at(TOKEN)(BAD_DATA, *says, sent=sent(1)), **at(MANIFEST, FRESH)(BAD_DATA, *says, requests=TRIES, sent=sent(TRIES)),
            **wrong_part(*says, sent=sent)}


# ── parts ──


def says(text):
    """A 206 with this Content-Range; {s}, {e}, {n}: the first, the last and the number of bytes."""
    return lambda x, c: x.part(c.data, says=text.format(s=x.start, e=len(c.data) - 1, n=len(c.data)))


def moved(by):
    def behave(x, c):
        first = max(0, x.start + by)
        x.part(c.data, says=f"bytes {first}-{len(c.data) - 1}/{len(c.data)}", body=c.data[first:])

    return behave


def capped(x, c, limit=10_000):
    end = min(x.start + limit, len(c.data))
    x.part(c.data, says=f"bytes {x.start}-{end - 1}/{len(c.data)}", body=c.data[x.start : end])


def longer_than_its_range(x, c):
    where = ("Content-Range", f"bytes {x.start}-{x.start + 99}/{len(c.data)}")
    x.head(206, [where, ("Transfer-Encoding", "chunked")])
    x.start = None  # chunks of the whole content
    x.raw(b"%x\r\n" % len(c.data))
    x.body(c.data)
    x.raw(b"\r\n0\r\n\r\n")


def whole_size(c):
    return len(c.data)


def wrong_range(name, behave, sent=lambda c: c.rest):
    """
    Not the range that was requested. It is requested again, and then everything; only if that is wrong too, it is an
    error. `sent`: the bytes of a body, at most.
    """

    def amount(times):
        return lambda c: range(c.rest if times == 1 else whole_size(c), whole_size(c) + times * sent(c) + 1)

    case(f"{name}, to each range", lambda x, c: behave(x, c) if x.start is not None else x.answer(200, c.data),
         resumed(OK, requests=TRIES + 1, sent=amount(TRIES)))
    case(f"{name}, once", behave, resumed(OK, requests=2, sent=amount(1)), once=True)


case("200 for a range", lambda x, c: x.answer(200, c.data), resumed(OK, sent=whole_size))
wrong_range("200 for a range, of another length", lambda x, c: x.answer(200, c.data[:-1]), whole_size)
wrong_range("206 that starts early", moved(-1000), whole_size)
wrong_range("206 that starts late", moved(1000))
wrong_range("206 from the first byte on", moved(-(1 << 30)), whole_size)
case("206 that ends early", capped, resumed(OK, requests=3))
wrong_range("206 that ends past the end", says("bytes {s}-{n}/{n}"))
wrong_range("206 longer than its range", longer_than_its_range, lambda c: IN_FLIGHT)
wrong_range("206 of another length than its range", lambda x, c: x.part(c.data, body=c.data[x.start : -1]))
wrong_range("206 of a longer whole", says("bytes {s}-{e}/9{n}"))
case("206 of unknown total", says("bytes {s}-{e}/*"), resumed(OK))
wrong_range("206 without a range", says(""))
for text in ("items {s}-{e}/{n}", "bytes */{n}", "bytes {s}-{e}/18446744073709551617", "bytes -{e}/{n}", "bytes {e}-{s}/{n}",
             "bytes {s}-{e}", "bytes={s}-{e}/{n}", "bytes {s}-{e}/-{n}", "bytes +{s}-{e}/{n}"):
    wrong_range(f"206 with '{text}'", says(text))
wrong_range("206 with two ranges", lambda x, c: x.head(206, [("Content-Range", f"bytes {x.start}-{len(c.data) - 1}/{len(c.data)}"),
                                                             ("Content-Range", f"bytes 0-1/{len(c.data)}"), ("Content-Length", 0)]))
wrong_range("206 of several parts", lambda x, c: x.part(c.data, headers={"Content-Type": "multipart/byteranges; boundary=x"}))
wrong_range("206 of gzip", lambda x, c: x.part(c.data, headers={"Content-Encoding": "gzip"}))
wrong_range("206 of another digest", lambda x, c: x.part(c.data, headers={"Docker-Content-Digest": OTHER}))
case("206 to a plain request", lambda x, c: x.part(c.data), token(BAD_DATA, "a part although everything was requested"),
     at(MANIFEST, FRESH)(BAD_DATA, "a part although everything was requested", requests=TRIES, sent=up_to(IN_FLIGHT)))
case("206 to a plain request, once", lambda x, c: x.part(c.data), at(MANIFEST, FRESH)(OK, requests=2, sent=lambda c: range(2 * c.rest + 1)),
     once=True)
case("a wrong range, and not the whole", lambda x, c: x.part(c.data, says="bytes 0-1/2"),
     resumed(BAD_DATA, "a part although everything was requested", requests=TRIES + 1, sent=up_to(IN_FLIGHT)))
for text, number in (("where we are", "{s}"), ("below", "1"), ("past the end", "9{n}")):
    wrong_range(f"416 {text}", lambda x, c, number=number:
                x.answer(416, headers={"Content-Range": f"bytes */{number.format(s=x.start, n=len(c.data))}"}))
case("416", lambda x, c: x.answer(416), plain(BAD_DATA, "416", sent=nothing), resumed(BAD_DATA, "416", requests=2, sent=nothing))


# ── valid ranges that are refused ──


def no_ranges(code, then=lambda x, c: x.answer(200, c.data), says=""):
    """`code` to every range; `then` answers a request for the whole."""
    where = {"Content-Range": says} if says else {}
    return lambda x, c: then(x, c) if x.start is None else x.answer(
        code, headers={name: text.format(n=len(c.data)) for name, text in where.items()})


for name, code, where in (("416", 416, ""), ("416 at the end", 416, "bytes */{n}"), ("400", 400, "")):
    case(f"{name} to a range", no_ranges(code, says=where), resumed(OK, requests=2, sent=whole_size))
case("416 once", lambda x, c: x.answer(416), resumed(OK, requests=2, sent=whole_size), once=True)
case("416 to a range, then 206 for the whole", no_ranges(416, lambda x, c: x.answer(
    206, c.data, {"Content-Range": f"bytes 0-{len(c.data) - 1}/{len(c.data)}"})),
     resumed(BAD_DATA, "a part although everything was requested", requests=2, sent=up_to(IN_FLIGHT)))
case("416 to a range, then another length", no_ranges(416, lambda x, c: x.answer(200, c.data[:-1])),
     resumed(BAD_DATA, "bytes long", requests=2, sent=up_to(IN_FLIGHT)))
case("416 to a range, then 404", no_ranges(416, lambda x, c: x.answer(404)),
     resumed(NOT_FOUND, "404", requests=2, sent=nothing))
# Each try requests the range first, which costs less than the whole.
case("416 to a range, then a break within the bytes that are there", no_ranges(416, lambda x, c: x.rest(
    c.data, len(c.data), send=FEW)), resumed(AGAIN, requests=2 * TRIES, sent=lambda c: TRIES * FEW))


# ── lengths and framing ──


def length(value):
    return lambda x, c: x.rest(c.data, value)


for text in ("-1", "many", "", "1e3", "0x10", "99999999999999999999", "12, 13", "+5"):
    # Some are refused by libcurl, after which the request is not repeated.
    case(f"Content-Length '{text}'", length(text), everywhere(BAD_DATA),
         resumed(BAD_DATA, requests=range(1, TRIES + 2), sent=repeated(TRIES + 1)))
case("two Content-Lengths", lambda x, c: x.rest(c.data, c.rest, [("Content-Length", c.rest + 1)]), everywhere(BAD_DATA), wrong_part())
case("equal Content-Lengths in a list", lambda x, c: x.rest(c.data, f"{c.rest}, {c.rest}"), everywhere(OK))
case("equal Content-Lengths in two fields", lambda x, c: x.rest(c.data, c.rest, [("Content-Length", c.rest)]), everywhere(OK))
case("Content-Length over the size", lambda x, c: x.rest(c.data, c.rest + 100), fresh(BAD_DATA, "bytes long"), wrong_part("bytes long"))
case("Content-Length below the size", lambda x, c: x.rest(c.data, c.rest - 5), everywhere(BAD_DATA), wrong_part("bytes long"))
case("Content-Length and chunked", lambda x, c: x.chunks(c.data, headers=[("Content-Length", c.rest)]),
     wrong("both a Content-Length and a chunked body"))
case("Content-Length and chunked, once", lambda x, c: x.chunks(c.data, headers=[("Content-Length", c.rest)]),
     content(OK, requests=2, sent=repeated(2)), once=True)
case("no length", lambda x, c: x.rest(c.data), everywhere(OK))
case("chunked", lambda x, c: x.chunks(c.data), everywhere(OK))
case("chunks of one byte", lambda x, c: x.chunks(c.data[: x.end], size=1), at(TOKEN, MANIFEST)(OK))
for name, end in (("a chunk without a size", b"zz\r\n"), ("oversized chunk", b"fffffffffffffffff\r\n")):
    case(name, lambda x, c, end=end: x.chunks(c.data, end=end, send=FEW), everywhere(BAD_DATA, sent=lambda c: FEW),
         wrong_part(sent=lambda times: lambda c: times * FEW))
# The newer libcurl refuses the header, the older one leaves that to us.
for text in ("identity", "chunked, identity", "chunked, chunked", "gzip", "x, chunked"):
    case(f"Transfer-Encoding '{text}'", lambda x, c, text=text: x.rest(c.data, headers=[("Transfer-Encoding", text)]),
         {**wrong(), **at(MANIFEST, FRESH)(BAD_DATA, requests=range(1, TRIES + 1), sent=repeated(TRIES))})
case("chunked twice", lambda x, c: x.chunks(c.data, headers=[("Transfer-Encoding", "chunked")]), wrong("encoded"))
case("broken chunks behind many bytes", lambda x, c: x.chunks(c.data, size=1000, end=b"\r\n", send=c.rest - 1),
     everywhere(BAD_DATA, "chunks", sent=lambda c: c.rest - 1), resumed(OK, requests=2))
case("trailers", lambda x, c: x.chunks(c.data, end=b"0\r\nContent-Length: 5\r\nX: y\r\n\r\n"), everywhere(OK))


def trailers(line):
    """Endless trailers after the whole content."""

    def behave(x, c):
        x.chunks(c.data, end=b"0\r\n")
        while not x.server.released.is_set():
            x.raw(100 * line)

    return behave


# A blob is complete when all its bytes have arrived, whatever follows.
for name, line in (("", b"X: y\r\n"), (", folded", b" y\r\n"), (" of 4,000 bytes", b"X: " + b"y" * 4000 + b"\r\n")):
    case(f"trailers for ever{name}", trailers(line), blobs(OK), at(TOKEN, MANIFEST)(BAD_DATA, "trailers", sent=rest))
case("a trailer for ever", trailers(b"y"), blobs(OK), at(TOKEN, MANIFEST)(BAD_DATA, sent=rest))


# ── broken connections ──

from_the_start = at(TOKEN, MANIFEST)


def twice(c):
    """A few bytes and then all, because only blobs resume."""
    return c.rest + FEW


case("short body", lambda x, c: x.rest(c.data, c.rest, send=FEW),
     blobs(OK, requests=2), from_the_start(OK, requests=2, sent=twice), once=True)
case("short body without a length", lambda x, c: x.rest(c.data, send=FEW), blobs(OK, requests=2),
     from_the_start(BAD_DATA, sent=lambda c: FEW), once=True)
case("short chunked body", lambda x, c: (x.chunks(c.data, end=b"", send=FEW), x.hang_up()),
     blobs(OK, requests=2), from_the_start(OK, requests=2, sent=twice), once=True)
# New bytes give retries back, but single bytes do not, and repeated bytes do not.
case("single bytes for ever", lambda x, c: cut_short(c.data, 1)(x), blobs(AGAIN, requests=TRIES, sent=lambda c: TRIES))
case("the same bytes for ever", lambda x, c: (x.head(200, {"Content-Length": len(c.data)}), x.body(c.data[:30_000]), x.hang_up()),
     blobs(AGAIN, requests=TRIES, sent=lambda c: TRIES * 30_000))
case("no body", lambda x, c: x.rest(c.data, c.rest, send=0), everywhere(AGAIN, requests=TRIES, sent=nothing))
# The first try may use idle connections: libcurl silently tries up to five of them.
SILENTLY = range(TRIES, TRIES + 6)
case("no answer", lambda x, c: x.hang_up(), content(AGAIN, "without an answer", requests=SILENTLY, sent=nothing),
     token(AGAIN, "without an answer", requests=TRIES, sent=nothing))
case("reset in the middle", lambda x, c: (x.rest(c.data, c.rest, send=FEW, end=False), x.reset()),
     everywhere(OK, requests=2, sent=up_to(FEW)), once=True)
case("reset at once", lambda x, c: x.reset(), content(AGAIN, requests=SILENTLY, sent=nothing),
     token(AGAIN, requests=TRIES, sent=nothing))
case("reset at the end", lambda x, c: (x.rest(c.data, c.rest + 1, send=c.rest, end=False), x.reset()),
     token(OK, requests=2, sent=lambda c: 2 * c.rest), once=True)
case("silence before the answer", lambda x, c: silent()(x),
     everywhere(AGAIN, "no bytes arrived for", requests=TRIES, sent=nothing), slow=True)
case("silence before the last byte", lambda x, c: (x.rest(c.data, c.rest, send=c.rest - 1, end=False), silent()(x)),
     blobs(OK, requests=2), once=True, slow=True)
case("silence in the middle", lambda x, c: (x.rest(c.data, c.rest, send=FEW, end=False), silent()(x)),
     blobs(OK, requests=2), from_the_start(OK, requests=2, sent=twice), once=True, slow=True)


def trickle(x, c):
    """At most 1 kB/s: slow, but making progress."""
    pieces = 8
    x.rest(c.data, c.rest, send=0, end=False)
    start = x.start or 0
    for n in range(pieces):
        end = len(c.data) if n == pieces - 1 else start + 100 * (n + 1)
        x.body(c.data[start + 100 * n : end])
        x.server.released.wait(0.1)


def trickling_head(x, c):
    """Byte by byte, never a whole line."""
    x.raw(b"HTTP/1.1 200 OK\r\nX: ")
    while not x.server.released.wait(0.05):
        x.raw(b"y")


case("trickling header line", trickling_head, content(AGAIN, "no bytes arrived for", requests=TRIES, sent=nothing),
     token(AGAIN, requests=TRIES, sent=nothing), head(AGAIN, "no bytes arrived for", requests=TRIES, sent=nothing), slow=True)
case("trickle", trickle, blobs(OK), manifest(OK), slow=True)


def trickles(begin, line):
    """`line` again and again, each in time: whole lines, or useless bytes."""

    def behave(x, c):
        begin(x, c)
        while not x.server.released.wait(0.05):
            x.raw(line)

    return behave


# Bytes without progress do not count.
OVERHEAD = "seconds, except overhead"
for name, begin, line in (
    ("trickling header lines", lambda x, c: x.raw(b"HTTP/1.1 200 OK\r\n"), b"X: y\r\n"),
    ("trickling interim answers", lambda x, c: None, b"HTTP/1.1 102 Processing\r\n\r\n"),
):
    case(name, trickles(begin, line), content(AGAIN, OVERHEAD, requests=TRIES, sent=nothing),
         token(AGAIN, requests=TRIES, sent=nothing), head(AGAIN, OVERHEAD, requests=TRIES, sent=nothing), slow=True)
case("trickling trailers", trickles(lambda x, c: x.chunks(c.data, end=b"0\r\n"), b"X: y\r\n"), blobs(OK),
     token(AGAIN, requests=TRIES, sent=lambda c: TRIES * c.rest),
     manifest(AGAIN, requests=2, sent=lambda c: 2 * c.rest), slow=True)  # everything came, but nothing proves it
case("redirect with a trickling body", trickles(lambda x, c: x.head(307, {"Location": c.away, "Content-Length": 60_000}), b"x"),
     content(OK, sent=nothing), slow=True)
case("404 with a trickling body", trickles(lambda x, c: x.head(404, {"Content-Length": 60_000}), b"x"),
     content(NOT_FOUND, "404", sent=nothing), slow=True)


def chunk_extension(x, c):
    x.chunks(c.data, end=b"5;", send=FEW)
    while not x.server.released.wait(0.01):
        x.raw(b"x" * 4000)


case("a chunk extension for ever", chunk_extension, at(TOKEN, FRESH, RESUMED)(
    AGAIN, requests=TRIES, sent=lambda c: TRIES * FEW),
     manifest(AGAIN, requests=2, sent=lambda c: 2 * FEW), slow=True)  # some bytes came, but it is unknown which


def endless(x, c):
    x.rest(c.data, end=False)
    while not x.server.released.is_set():
        x.body(bytes(1 << 16))


def endless_chunks(x, c):
    x.chunks(c.data, end=b"")
    while not x.server.released.is_set():
        x.raw(b"10000\r\n")
        x.body(bytes(1 << 16))
        x.raw(b"\r\n")


for name, behave in (("endless body", endless), ("endless chunks", endless_chunks)):
    # The excess byte may be seen before or after the content has been verified. For a range it is requested again.
    case(name, behave, token(BAD_DATA, "longer than", sent=up_to(IN_FLIGHT)),
         manifest(BAD_DATA, "more than the allowed 4194304 bytes", sent=up_to(IN_FLIGHT)),
         blobs((OK, BAD_DATA), sent=up_to(IN_FLIGHT)), resumed((OK, BAD_DATA), requests=range(1, TRIES + 2), sent=up_to(IN_FLIGHT)))
case("document of 100 MiB", lambda x, c: x.rest(c.data, 100 << 20, end=False), manifest(BAD_DATA, "the limit is 4194304"),
     token(BAD_DATA, "limit"))


# ── encodings ──

BOMB = gzip.compress(bytes(100 << 20), 9)


def coded(name, field="Content-Encoding"):
    return lambda x, c: x.answer(200 if x.start is None else 206, gzip.compress(c.data[x.start :]), {
        field: name, **({} if x.start is None else {"Content-Range": f"bytes {x.start}-{len(c.data) - 1}/{len(c.data)}"}),
    })


case("x-gzip of a file that is stored so", lambda x, c: x.rest(c.data, c.rest, [("Content-Encoding", "x-gzip")]), blobs(OK),
     token(BAD_DATA, "encoded"), manifest(BAD_DATA, "encoded", requests=TRIES, sent=repeated(TRIES)))
CODED_AT_MOST = 1000  # bytes more than without
for name in ("gzip", "zstd", "gzip, identity"):
    case(f"unrequested {name}", coded(name), wrong("encoded", sent=lambda times: lambda c: range(times * (len(c.data) + CODED_AT_MOST))))
    case(f"unrequested {name}, once", coded(name), content(OK, requests=2, sent=lambda c: range(2 * len(c.data) + CODED_AT_MOST)), once=True)
case("identity", lambda x, c: x.rest(c.data, c.rest, [("Content-Encoding", "identity")]), everywhere(OK))
case("decompression bomb", lambda x, c: x.answer(200, BOMB, {"Content-Encoding": "gzip"}),
     wrong("encoded", sent=lambda times: lambda c: range(times * len(BOMB) + 1)))
case("transfer encoding gzip", lambda x, c: x.rest(gzip.compress(c.data), headers=[("Transfer-Encoding", "gzip, chunked")]),
     wrong(sent=lambda times: lambda c: range(times * (len(c.data) + CODED_AT_MOST))))


# ── redirects ──


def to(location, code=307):
    """{0}: the host and port of the server."""
    return lambda x, c: x.answer(code, headers={"Location": location.format(c.address)})


def hop(x, c):
    """10,000 hops, each to another URL."""
    hops = re.search(r"hop=(\d+)", x.path)
    x.answer(302, headers={"Location": f"?hop={int(hops[1]) + 1 if hops else 1}"})


no_redirect = token(BAD_DATA, "it redirects, which is not followed", sent=nothing)
many_redirects = token(BAD_DATA, "it redirects, which is not followed", requests=1 + REALM_REDIRECTS_MAX, sent=nothing)
case("redirect to another host", lambda x, c: x.answer(307, headers={"Location": c.away}), content(OK, sent=nothing), no_redirect)
case("redirect to itself", lambda x, c: x.answer(301, headers={"Location": x.path}),
     content(BAD_DATA, "redirects too often", requests=1 + REDIRECTS_MAX, sent=nothing), many_redirects)
case("redirect of 10,000 hops", hop,
     content(BAD_DATA, "redirects too often", requests=1 + REDIRECTS_MAX, sent=nothing), many_redirects)
for location in ("file:///etc/passwd", "gopher://{0}/x", "ftp://{0}/x", "scp://{0}/x"):
    case(f"redirect to {location}", to(location), content(BAD_DATA, "only http and https", sent=nothing), no_redirect)
case("redirect with a password", to("http://canary:canary@{0}/x"), content(BAD_DATA, "credentials in a URL", sent=nothing),
     no_redirect)
case("redirect to nowhere", lambda x, c: x.answer(302), content(BAD_DATA, "has no Location", sent=nothing),
     token(BAD_DATA, sent=nothing))
for name, location in (("an endless URL", "/" + "x" * 9000), ("a line break", "/\x7f")):
    case(f"redirect to {name}", to(location), everywhere(BAD_DATA, "Location", sent=nothing))
case("redirect to nonsense", to("http://"), content(BAD_DATA, sent=nothing), no_redirect)


# ── statuses ──

for code in (408, 425, 429, 500, 502, 503, 504, 599, 999):
    case(f"{code} for ever", lambda x, c, code=code: x.answer(code),
         everywhere(AGAIN, code, requests=TRIES, sent=nothing))
    case(f"{code} once", lambda x, c, code=code: x.answer(code), everywhere(OK, requests=2), once=True)
case("400", lambda x, c: x.answer(400), plain(BAD_DATA, "400", sent=nothing), resumed(BAD_DATA, "400", requests=2, sent=nothing))
for code in (201, 204, 205, 300, 304, 402, 405, 418, 501, 505):
    case(f"{code}", lambda x, c, code=code: x.answer(code), everywhere(BAD_DATA, sent=nothing))
for code in (404, 410):
    case(f"{code}", lambda x, c, code=code: x.answer(code), everywhere(NOT_FOUND, code, sent=nothing),
         token(DENIED, code, sent=nothing))
case("401 for ever", lambda x, c: x.answer(401, headers={"WWW-Authenticate": 'Basic realm="x"'}),
     content(DENIED, "401", requests=2, sent=nothing), token(DENIED, "401", sent=nothing), alone=True)
case("401 once", lambda x, c: x.answer(401, headers={"WWW-Authenticate": 'Basic realm="x"'}), content(OK, requests=2),
     once=True, alone=True)
case("403", lambda x, c: x.answer(403), content(DENIED, "403", requests=2, sent=nothing), token(DENIED, "403", sent=nothing),
     alone=True)


def errors(code, *texts, padding=0):
    """The spec's document of errors."""
    body = json.dumps({"errors": [dict(zip(("code", "message"), texts))]}).encode() + b" " * padding
    return lambda x, c: x.answer(code, body, {"Content-Type": "application/json"}), len(body)


for name, texts, shown in (
    ("a reason", ("DENIED", "no address of 192.0.2.0/24"), "DENIED: no address of 192.0.2.0/24"),
    ("a code alone", ("PROJECTPOLICYVIOLATION",), "PROJECTPOLICYVIOLATION"),
    ("a reason that paints", ("A", "\x1b[31m\nred"), "A: \\x1b[31m\\x0ared"),
):
    behave, size = errors(404, *texts)
    case(f"404 with {name}", behave, everywhere(NOT_FOUND, f"404 Not Found: {shown}", sent=lambda c, size=size: size),
         token(DENIED, f"404 Not Found: {shown}", sent=lambda c, size=size: size))
behave, size = errors(429, "TOOMANYREQUESTS", "pull rate limit")
case("429 with a reason", behave, everywhere(AGAIN, "TOOMANYREQUESTS: pull rate limit", requests=TRIES,
                                             sent=lambda c, size=size: TRIES * size))
behave, size = errors(418, "TEAPOT", "short and stout")
case("418 with a reason", behave, everywhere(BAD_DATA, "418: TEAPOT: short and stout", sent=lambda c, size=size: size))
behave, size = errors(404, "LONG", "x" * 9000)
case("404 with a long reason", behave, everywhere(NOT_FOUND, "404 Not Found", sent=lambda c, size=size: size),
     token(DENIED, "404 Not Found", sent=up_to(size)))
for text in ("-1", "soon", "1e9", "Thu, 01 Jan 1970 00:00:01 GMT", "Mon, 99 Foo 2026 00:00:00 GMT", ""):
    case(f"503 with Retry-After '{text}'", lambda x, c, text=text: x.answer(503, headers={"Retry-After": text}),
         everywhere(OK, requests=2), once=True)


# ── headers ──


def named(digest):
    return lambda x, c: x.rest(c.data, c.rest, [("Docker-Content-Digest", digest)])


case("another Docker-Content-Digest", named(OTHER), blobs(BAD_DATA, OTHER), token(OK), wrong_part(OTHER),
     manifest(BAD_DATA, OTHER, requests=2, sent=lambda c: 2 * c.rest))  # found at the end, after which it starts over once
for text in ("sha256:../../x", "md5:d41d8cd98f00b204e9800998ecf8427e", "sha256:" + "A" * 64, "", "x" * 4000):
    case(f"Docker-Content-Digest '{text[:20]}'", named(text), everywhere(OK))
case("another ETag", lambda x, c: x.rest(c.data, c.rest, [("ETag", '"changed"')]), everywhere(OK))
case("300 fields", lambda x, c: x.rest(c.data, c.rest, [("X", n) for n in range(300)]), everywhere(BAD_DATA, "too long"))
case("100,000 fields", lambda x, c: (x.raw(b"HTTP/1.1 200 OK\r\n" + 100_000 * b"X: y\r\n"), x.rest(c.data, c.rest)),
     everywhere(BAD_DATA, "too long", sent=up_to(0)))
case("a field of 70,000 bytes", lambda x, c: x.rest(c.data, c.rest, [("X", "y" * 70_000)]), everywhere(BAD_DATA, "too long"))
case("a field of 1 MiB", lambda x, c: x.rest(c.data, c.rest, [("X", "y" * (1 << 20))]), everywhere(BAD_DATA, sent=up_to(0)))
case("NUL in a field", lambda x, c: x.rest(c.data, c.rest, [("X", "a\0b")]), everywhere(BAD_DATA))
case("a line without a colon", lambda x, c: x.rest(c.data, c.rest, [("X", "y\r\nnonsense")]),
     everywhere(BAD_DATA, "without colon"))
case("control bytes in a media type", lambda x, c: x.rest(c.data, c.rest, [("Content-Type", "a/b\x1b[31m")]), everywhere(OK))


def interim(x, c):
    for _ in range(100_000):
        x.raw(b"HTTP/1.1 102 Processing\r\n\r\n")


case("interim answers for ever", interim, everywhere(BAD_DATA, sent=nothing))
case("an interim answer alone", lambda x, c: (x.raw(b"HTTP/1.1 100 Continue\r\n\r\n"), silent()(x)),
     everywhere(OK, requests=2), once=True, slow=True)
case("one interim answer", lambda x, c: (x.raw(b"HTTP/1.1 103 Hints\r\nContent-Length: 3\r\n\r\n"), x.rest(c.data, c.rest)), everywhere(OK))
for text in (b"SSH-2.0-OpenSSH_9.2p1 Debian\r\n", b"HTTP/1.1 20000000000000 OK\r\n\r\n", b"HTTP/1.1 OK\r\n\r\n", b"HTTP/9.9 200 OK\r\n\r\n",
             b"\0" * 100 + b"\r\n\r\n", b"HTTP/2 200\r\nContent-Length: 0\r\n\r\n", b"\x16\x03\x01\x02\0\x01\0"):
    # On a reused connection it may be the end of an earlier answer, so the request is repeated on a new one.
    case(f"{text[:16]}", lambda x, c, text=text: (x.raw(text), x.hang_up()), token(BAD_DATA, sent=nothing),
         content(BAD_DATA, requests=range(1, 3), sent=nothing), resumed(BAD_DATA, requests=range(1, TRIES + 3), sent=nothing))


# ── answers to HEAD; without a usable digest, a GET of the tag follows, which the server answers correctly ──


def told(c):
    return {"Docker-Content-Digest": c.digest}


def known(x, c, *fields, body=b""):
    """A body is sent in one piece with the header; later it would be taken for the next answer."""
    x.head(200, [*told(c).items(), *fields], body)


by_get, by_head = head(OK, requests=2), head(OK, sent=nothing)
case("HEAD without a length", lambda x, c: known(x, c), by_head)
case("HEAD with a wrong length", lambda x, c: known(x, c, ("Content-Length", 5)), by_head)
case("HEAD with a length of 4 GiB", lambda x, c: known(x, c, ("Content-Length", 4 << 30)), by_head)
case("HEAD with a body", lambda x, c: known(x, c, ("Content-Length", len(c.data)), body=c.data), by_head)
case("HEAD with a chunked body", lambda x, c: known(x, c, ("Transfer-Encoding", "chunked"), body=b"5\r\nabcde\r\n0\r\n\r\n"), by_head)
case("HEAD with another answer as its body", lambda x, c: known(x, c, ("Content-Length", 0), body=b"HTTP/1.1 404 No\r\n\r\n"), by_head)
case("HEAD of another digest", lambda x, c: x.head(200, {"Docker-Content-Digest": c.other}), head(BAD_DATA, "sha256:", requests=2, sent=nothing))
case("HEAD of no digest", lambda x, c: x.head(200, {}), by_get)
case("HEAD of gzip", lambda x, c: known(x, c, ("Content-Encoding", "gzip")), by_get)
case("HEAD with two lengths", lambda x, c: known(x, c, ("Content-Length", 5), ("Content-Length", 6)), by_get)
case("HEAD with a part", lambda x, c: x.head(206, {"Content-Range": "bytes 0-1/2", "Content-Length": 2}), by_get)
for code in (201, 204, 304, 400, 402, 404, 405, 408, 410, 416, 429, 500, 501, 502, 503, 504, 505):
    case(f"HEAD {code}", lambda x, c, code=code: x.answer(code), by_get)
case("HEAD 429 for an hour", lambda x, c: x.answer(429, headers={"Retry-After": 3600}), by_get)
case("HEAD 403", lambda x, c: x.answer(403), head(OK, requests=3))
case("HEAD redirects to itself", lambda x, c: x.answer(307, headers={"Location": x.path}),
     head(OK, requests=2 + REDIRECTS_MAX))
case("HEAD redirects to a file", to("file:///etc/passwd"), by_get)
case("HEAD without an answer", lambda x, c: x.hang_up(), head(AGAIN, "without an answer", requests=SILENTLY, sent=nothing))
case("HEAD reset", lambda x, c: x.reset(), head(AGAIN, requests=SILENTLY, sent=nothing))
case("HEAD, then silence", lambda x, c: silent()(x), head(AGAIN, "no bytes arrived for", requests=TRIES, sent=nothing), slow=True)
case("HEAD, then nonsense", lambda x, c: (x.raw(b"SSH-2.0-OpenSSH_9.2p1 Debian\r\n"), x.hang_up()),
     head(BAD_DATA, requests=range(1, 3), sent=nothing))
case("HEAD with 300 fields", lambda x, c: known(x, c, *[("X", n) for n in range(300)]), head(BAD_DATA, "too long", sent=nothing))
