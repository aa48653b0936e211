from __future__ import annotations

import socket
from contextlib import closing

import pytest

from factory.cli.ports import Ports, is_free
from factory.errors import Conflict, Misconfigured

HOST = "127.0.0.1"
UNUSED = 19_000
"""Where no other test looks for ports."""


def test_a_port_that_somebody_listens_on_is_not_given() -> None:
    with (
        socket.create_server((HOST, 0)) as server,
        closing(Ports(HOST)) as ports,
        pytest.raises(Conflict, match="is taken"),
    ):
        ports.take(server.getsockname()[1])


def test_two_installations_that_start_at_once_get_different_ports() -> None:
    with closing(Ports(HOST)) as one, closing(Ports(HOST)) as other:
        assert one.take_from(28000) != other.take_from(28000)


def test_a_port_is_free_again_once_its_installation_is_gone() -> None:
    with closing(Ports(HOST)) as ports:
        port = ports.take_from(UNUSED)
    with closing(Ports(HOST)) as ports:
        assert ports.take(port) == port


@pytest.mark.parametrize("host", ["no-such-host.invalid", "192.0.2.1", "2001:db8::1"])
def test_a_host_that_is_none_of_this_machine_is_told_at_once(host: str) -> None:
    with pytest.raises(Misconfigured, match="nothing can listen on"):
        Ports(host)


@pytest.mark.skipif(not is_free("::1", 0), reason="this machine has no IPv6")
def test_ports_are_those_of_the_address_whatever_its_family() -> None:
    with (
        socket.create_server(("::1", 0), family=socket.AF_INET6) as server,
        closing(Ports("::1")) as ports,
        pytest.raises(Conflict, match="is taken"),
    ):
        ports.take(server.getsockname()[1])


def test_no_port_is_searched_among_those_of_outgoing_connections() -> None:
    with closing(Ports(HOST)) as ports, pytest.raises(Conflict, match="no free port"):
        ports.take_from(32768)
