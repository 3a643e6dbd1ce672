import contextlib
import socket
import threading
from collections.abc import Callable

import pytest
from network_guard import is_local, no_network


def connects() -> None:
    socket.create_connection(("203.0.113.7", 80), timeout=1)


def looks_up() -> None:
    socket.getaddrinfo("example.org", 80)


def sends() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"x", ("203.0.113.7", 53))


def asks() -> None:
    with socket.socket() as client:
        client.connect_ex(("10.0.0.1", 80))


@pytest.mark.parametrize("reach", [connects, looks_up, sends, asks])
def test_a_test_that_uses_the_network_fails_even_if_it_swallows_the_error(reach: Callable[[], None]) -> None:
    with pytest.raises(AssertionError, match="the test used the network: "), no_network(), contextlib.suppress(OSError):
        reach()


def test_this_machine_may_be_reached() -> None:
    def greet() -> None:
        connection, _ = server.accept()
        with connection:
            connection.sendall(b"hello")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=greet)
        thread.start()
        with socket.create_connection(("localhost", server.getsockname()[1]), timeout=5) as client:
            assert client.recv(5) == b"hello"
        thread.join()


@pytest.mark.parametrize("address", [None, "", b"localhost", ("127.0.0.9", 1), ("::1", 1, 0, 0), "/run/x.sock", "\0abstract"])
def test_loopback_and_unix_sockets_are_local(address: object) -> None:
    assert is_local(address)
