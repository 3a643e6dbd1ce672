"""`--offline`: every Python socket to another machine is refused, in the command and in the processes of its stages."""

import os
import subprocess
import sys

import pytest
from toy_project import RECIPE, TRUST

from whorl.cli.offline import is_local

REACH = {
    "connect": "socket.socket().connect(('203.0.113.7', 80))",
    "look up": "socket.getaddrinfo('example.org', 80)",
    "send": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('203.0.113.7', 53))",
    "http": "import urllib.request; urllib.request.urlopen('http://example.org')",
}
HOME = """
import threading
server = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=lambda: server.accept()[0].sendall(b"hello"), daemon=True).start()
print(socket.create_connection(("localhost", server.getsockname()[1]), timeout=5).recv(5).decode())
a, b = socket.socketpair()
"""


def python(code: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("way", REACH)
def test_a_closed_process_cannot_reach_another_machine(way):
    found = python(f"import socket; from whorl.cli.offline import forbid; forbid(); forbid(); {REACH[way]}")
    assert found.returncode == 1
    assert "ResourceError: --offline: something wanted to reach '" in found.stderr


def test_a_closed_process_can_reach_itself():
    assert python(f"import socket; from whorl.cli.offline import forbid; forbid()\n{HOME}").stdout == "hello\n"


def test_a_process_it_starts_is_closed_before_it_imports_anything_else_of_ours():
    child = f"import whorl, socket; {REACH['look up']}"
    found = python(
        f"import subprocess, sys; from whorl.cli.offline import forbid; forbid(); "
        f"sys.exit(subprocess.run([sys.executable, '-c', {child!r}]).returncode)"
    )
    assert found.returncode == 1
    assert "--offline: something wanted to reach 'example.org'" in found.stderr


def test_a_stage_of_an_offline_run_is_closed_and_one_of_an_ordinary_run_is_not(shell):
    (shell.root / "recipe.yaml").write_text(RECIPE.replace("Lines', path", "Caller', path"))
    command = [sys.executable, "-m", "whorl", "run", *TRUST, "--to", "lines"]
    closed = subprocess.run([*command, "--offline"], cwd=shell.root, capture_output=True, text=True, timeout=60, check=False)
    assert closed.returncode == 1
    assert "error: --offline: something wanted to reach '192.0.2.1'" in closed.stderr
    opened = subprocess.run(command, cwd=shell.root, capture_output=True, text=True, timeout=60, check=False)
    assert opened.returncode == 0, opened.stderr


@pytest.mark.parametrize("host", ["", None, "localhost", b"127.0.0.1", "127.9.9.9", "::1", "::1%lo", "/run/a.sock", "\0name"])
def test_this_machine_is_local(host):
    assert is_local(host)


@pytest.mark.parametrize("host", ["example.org", "10.0.0.1", "0.0.0.1", b"203.0.113.7", "fe80::1", "localhost.example.org"])
def test_other_machines_are_not(host):
    assert not is_local(host)
