# SPDX-License-Identifier: Apache-2.0
"""
Shell completions: the helper of all three shells knows everything that --help prints, and each shell offers its answers
on a terminal.
"""

import os
import re
import subprocess

import pytest

from conftest import BINDIR, TESTS
from images import Pusher, digest_of
from servers import wait_for
from stages import AGAIN, STAGES
from terminal import Terminal

SHELLS = ("bash", "zsh", "fish")
RC = {
    "bash": (".bashrc", ". /usr/share/bash-completion/bash_completion; PS1='ready> '\n"
             "bind 'set show-all-if-ambiguous on'; bind 'set page-completions off'; bind 'set completion-query-items 0'\n"),
    "zsh": (".zshrc", "fpath=($PREFIX/share/zsh/site-functions $fpath); autoload -U compinit; compinit -u -D\n"
            "PS1='ready> '; LISTMAX=1000; setopt no_beep no_zle_bracketed_paste 2>/dev/null\n"),
    "fish": (".config/fish/config.fish", "set fish_greeting; function fish_prompt; echo 'ready> '; end\n"),
}
COMMAND = {"bash": ["bash", "-i"], "zsh": ["zsh", "-i"], "fish": ["fish", "-i"]}


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    """The result of `make install` of the programs as they are: -o, nothing is built beside tests that run."""
    place = tmp_path_factory.mktemp("installed")
    subprocess.run(
        ["make", "-s", "-o", "build", f"BUILD={os.path.relpath(BINDIR.parent, TESTS.parent)}", f"PREFIX={place}", f"SYSCONFDIR={place}/etc", "install"],
        cwd=TESTS.parent, check=True, stdout=subprocess.DEVNULL,
    )
    return place


@pytest.fixture(scope="module")
def complete(prefix):
    """The possible next words, from the program that the shells run."""

    def ask(*words, env=None):
        program, *rest = words
        result = subprocess.run(
            [prefix / "libexec/sluice/complete", prefix / "bin" / program, *rest],
            env={**os.environ, **(env or {})}, check=True, capture_output=True, text=True,
        )
        assert result.stderr == ""
        return [line.split("\t")[0] for line in result.stdout.splitlines()]

    return ask


def help_of(prefix, program, verb=None):
    words = [program] if not verb else ["sluice", "help", verb] if program == "sluice" else [program, verb]
    words = words if program == "sluice" and verb else [*words, "--help"]
    said = subprocess.run([prefix / "bin" / words[0], *words[1:]], check=True, capture_output=True, text=True).stdout
    return said


def options_in(text):
    """Everything that looks like an option at the start of a line or in brackets."""
    rows = re.findall(r"^  +(?:(-\w), )?(--[\w-]+)", text, re.MULTILINE)
    usage = re.findall(r"\[(?:(-\w) \| )?(--[\w-]+)", text)
    return {word for pair in rows + usage for word in pair if word}


def commands_in(text):
    return set(re.findall(r"^  ([a-z]+) ", text, re.MULTILINE))


def verbs_of(prefix, program):
    said = help_of(prefix, program)
    if program == "sluice":
        return commands_in(said)
    return set(re.findall(rf"^(?:usage: |       ){program} (?:\[OPTION\.\.\.\] )?([a-z]+)\b", said, re.MULTILINE))


@pytest.mark.parametrize("program", ["sluice", *STAGES])
def test_completion_knows_all_of_help(prefix, complete, program):
    said = help_of(prefix, program)
    verbs = verbs_of(prefix, program)
    assert len(verbs) >= (12 if program == "sluice" else 1)
    assert set(complete(program, "")) == verbs
    options = options_in(said)
    if program == "sluice":  # its usage names short flags alone; the help of a command has all in full
        in_full = options_in(help_of(prefix, program, "status").partition("global options:")[2])
        assert options < in_full and set(re.findall(r"\[(-\w)\]", said)) < in_full
        options = in_full
    assert len(options) >= 5
    assert set(complete(program, "-")) == options
    everywhere = options if program == "sluice" else set()
    for verb in verbs - {"help"}:
        options = options_in(help_of(prefix, program, verb)) | everywhere
        assert options
        assert set(complete(program, verb, "-")) == options, verb
    if program == "sluice":
        assert set(complete("sluice", "help", "")) == verbs


@pytest.fixture
def filled(box, registry):
    """A store with an image, and with a transfer that waits for more bytes."""
    box.waiting = digest_of(b"half a blob")
    box.run("ingestd", "put", "--raw", "--digest", box.waiting, box.waiting, data=b"half", want=AGAIN)
    pusher = Pusher(registry.address, "complete")
    box.stored = pusher.blob_bytes(b"a layer to complete")["digest"]
    pusher.image("1", [pusher.blob_bytes(b"a layer to complete")])
    box.name = f"{registry.address}/complete:1"
    box.sluice("pull", box.name)
    return box


def test_names_in_the_store_are_completed(filled, complete):
    where = ("--store", str(filled.store))
    assert complete("sluice", *where, "status", "") == [filled.waiting]
    assert complete("sluice", "abort", *where, "x", "") == [filled.waiting]
    assert complete("ingestd", "offset", f"--store={filled.store}", "", env={"PATH": f"{BINDIR}:{os.environ['PATH']}"}) == [
        filled.waiting
    ]
    assert complete("sluice", *where, "rm", "") == [filled.name]
    assert complete("sluice", *where, "rm", filled.name, "") == [filled.name], "it takes several"
    assert {filled.name, filled.stored} <= set(complete("sluice", *where, "tag", ""))
    assert complete("sluice", *where, "tag", filled.name, "") == []
    assert filled.stored in complete("sluice", *where, "cat", "")
    assert complete("sluice", "--store", "/nonexistent", "status", "") == []


@pytest.mark.parametrize("words, want", [
    (("sluice", "--store", ""), [":dir"]),
    (("sluice", "pull", "--config", ""), [":file"]),
    (("sluice", "pull", "--config=/et"), [":file"]),
    (("sluice", "--store", "/x", ""), None),
    (("commitd", "--verify", ""), ["when-asked", "always"]),
    (("fetchd", "--log-level", "w"), ["error", "warning", "notice", "info", "debug"]),
    (("fetchd", "--log-level", "info", ""), ["get"]),
    (("sluice", "no-such-command", ""), None),
    (("sluice", "fetch", "--size", ""), []),
], ids=lambda value: " ".join(value) if isinstance(value, tuple) else None)
def test_values_are_completed(complete, words, want):
    assert complete(*words) == (complete("sluice", "") if want is None else want)


@pytest.fixture(params=SHELLS)
def shell(request, prefix, filled, tmp_path):
    """A shell on a terminal with Sluice installed."""
    name, text = RC[request.param]
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text(text)
    (tmp_path / "a-directory").mkdir()
    (tmp_path / "a-file").touch()
    env = {
        "HOME": str(tmp_path), "ZDOTDIR": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / ".config"),
        "XDG_DATA_HOME": str(tmp_path / ".local"), "XDG_DATA_DIRS": f"{prefix}/share:/usr/share", "PREFIX": str(prefix),
        "PATH": f"{prefix}/bin:/usr/bin:/bin", "SLUICE_STORE": str(filled.store),
        "SLUICE_RUNTIME_DIR": str(filled.runtime),
    }
    with Terminal(tmp_path, ["env", "-C", tmp_path, *COMMAND[request.param]], 160, 60, env) as terminal:
        terminal.see("ready>")
        yield terminal


def offered(shell, line, *texts):
    shell.type(line)
    shell.key("Tab")
    shell.see(*texts)
    shell.key("C-u", "C-l")
    wait_for("an empty line", lambda: shell.screen() == ["ready>"])


def test_in_a_shell(shell, prefix, filled):
    offered(shell, "sluice ", *verbs_of(prefix, "sluice"))
    offered(shell, "sluice pull -", *(o for o in options_in(help_of(prefix, "sluice", "pull")) if o.startswith("--")))
    offered(shell, "sluice imag", "sluice images")
    offered(shell, "sluice status --wa", "sluice status --watch")
    offered(shell, "sluice status sha", f"sluice status {filled.waiting}")
    offered(shell, f"sluice rm {filled.name[:12]}", f"sluice rm {filled.name}")
    offered(shell, f"sluice cat {filled.stored[:20]}", f"sluice cat {filled.stored}")
    offered(shell, "commitd --verify al", "commitd --verify always")
    offered(shell, "commitd --verify=al", "commitd --verify=always")
    offered(shell, "ingestd pu", "ingestd put")
    offered(shell, "fetchd get --off", "fetchd get --offset")
    offered(shell, "sluice --store a-dir", "sluice --store a-directory/")
    offered(shell, "sluice --config a-f", "sluice --config a-file")
    offered(shell, "sluice --config=a-f", "sluice --config=a-file")
