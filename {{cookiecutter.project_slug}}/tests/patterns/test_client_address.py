from __future__ import annotations

from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.patterns.client_address import ClientAddress, ClientAddressConfig, InvalidTrustedProxies
from tests.support.live import serve

PROXIES = ["10.0.0.0/8", "fd00::/8"]


def scope_of(peer: str | None, *forwarded: str | bytes) -> dict[str, Any]:
    lines = [line if isinstance(line, bytes) else line.encode() for line in forwarded]
    return {
        "type": "http",
        "client": (peer, 1234) if peer is not None else None,
        "headers": [(b"host", b"api"), *((b"x-forwarded-for", line) for line in lines)],
    }


def test_the_peer_is_the_client_when_no_proxy_is_trusted() -> None:
    assert ClientAddress()(scope_of("203.0.113.9")) == "203.0.113.9"


def test_a_forwarded_address_from_an_untrusted_peer_is_ignored() -> None:
    assert ClientAddress()(scope_of("203.0.113.9", "198.51.100.1")) == "203.0.113.9"
    assert ClientAddress(PROXIES)(scope_of("203.0.113.9", "198.51.100.1")) == "203.0.113.9"


def test_a_trusted_peer_is_asked_for_whom_it_forwards() -> None:
    assert ClientAddress(PROXIES)(scope_of("10.0.0.1", "203.0.113.9")) == "203.0.113.9"


def test_an_address_just_outside_the_trusted_network_is_not_trusted() -> None:
    client = ClientAddress(["10.0.0.0/31"])
    assert client(scope_of("10.0.0.1", "203.0.113.9")) == "203.0.113.9"
    assert client(scope_of("10.0.0.2", "203.0.113.9")) == "10.0.0.2"


def test_what_the_client_wrote_itself_stands_further_left_and_is_not_reached() -> None:
    assert ClientAddress(PROXIES)(scope_of("10.0.0.1", "198.51.100.1, 10.0.0.7, 203.0.113.9")) == "203.0.113.9"


def test_trusted_proxies_in_between_are_stepped_over() -> None:
    assert ClientAddress(PROXIES)(scope_of("10.0.0.1", "203.0.113.9, 10.0.0.3, 10.0.0.2")) == "203.0.113.9"


def test_the_last_of_several_header_lines_is_read_first() -> None:
    client = ClientAddress(PROXIES)
    assert client(scope_of("10.0.0.1", "198.51.100.1", "203.0.113.9")) == "203.0.113.9"
    assert client(scope_of("10.0.0.1", "203.0.113.9", "10.0.0.2")) == "203.0.113.9"


def test_a_request_that_began_inside_is_its_first_hop() -> None:
    assert ClientAddress(PROXIES)(scope_of("10.0.0.1", "10.0.0.3, 10.0.0.2")) == "10.0.0.3"


def test_a_trusted_peer_without_the_header_is_the_client() -> None:
    assert ClientAddress(PROXIES)(scope_of("10.0.0.1")) == "10.0.0.1"


@pytest.mark.parametrize(
    "entry", ["", "unknown", "_hidden", "1.2.3", "203.0.113.9 x", "fe80::1%eth0", "\xff", "1.2.3.4" + " " * 70]
)
def test_garbage_from_a_trusted_peer_leaves_the_peer(entry: str) -> None:
    line = f"203.0.113.9, {entry}".encode("latin-1")
    assert ClientAddress(PROXIES)(scope_of("10.0.0.1", line)) == "10.0.0.1"


@pytest.mark.parametrize(
    ("entry", "address"),
    [
        ("203.0.113.9:443", "203.0.113.9"),
        ("2001:DB8:0::9", "2001:db8::9"),
        ("[2001:db8::9]", "2001:db8::9"),
        ("[2001:db8::9]:443", "2001:db8::9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("\t203.0.113.9 ", "203.0.113.9"),
    ],
)
def test_addresses_are_read_as_proxies_write_them(entry: str, address: str) -> None:
    assert ClientAddress(PROXIES)(scope_of("10.0.0.1", entry)) == address


def test_a_mapped_address_is_the_ipv4_address_that_it_maps() -> None:
    assert ClientAddress()(scope_of("::ffff:203.0.113.9")) == "203.0.113.9"
    assert ClientAddress(PROXIES)(scope_of("::ffff:10.0.0.1", "203.0.113.9")) == "203.0.113.9"


def test_an_ipv6_proxy_is_trusted_and_a_zone_is_no_part_of_the_address() -> None:
    client = ClientAddress(PROXIES)
    assert client(scope_of("fd00::1", "2001:db8::9")) == "2001:db8::9"
    assert client(scope_of("fe80::1%eth0", "203.0.113.9")) == "fe80::1"


def test_as_many_hops_as_allowed_are_walked_and_one_more_leaves_the_peer() -> None:
    client = ClientAddress(PROXIES, config=ClientAddressConfig(max_hops=3))
    assert client(scope_of("10.0.0.1", "203.0.113.9, 10.0.0.3, 10.0.0.2")) == "203.0.113.9"
    assert client(scope_of("10.0.0.1", "203.0.113.9, 10.0.0.4, 10.0.0.3, 10.0.0.2")) == "10.0.0.1"
    assert client(scope_of("10.0.0.1", "203.0.113.9, " * 2 + "10.0.0.4, 10.0.0.3, 10.0.0.2")) == "10.0.0.1"


def test_of_a_header_that_is_too_long_only_whole_entries_at_the_right_end_are_read() -> None:
    config = ClientAddressConfig(max_header=len("3.0.113.9, 10.0.0.2"))
    client = ClientAddress(PROXIES, config=config)
    assert client(scope_of("10.0.0.1", "203.0.113.9, 10.0.0.2")) == "10.0.0.1"
    assert client(scope_of("10.0.0.1", "x" * 5000 + ", 203.0.113.9")) == "203.0.113.9"


@pytest.mark.parametrize("peer", [None, ""])
def test_a_peer_without_an_address_is_unknown(peer: str | None) -> None:
    assert ClientAddress(PROXIES)(scope_of(peer, "203.0.113.9")) == "unknown"


@pytest.mark.parametrize("networks", [["10.0.0.0/33"], ["10.0.0.1/8"], ["proxy"], ["0.0.0.0/0"], ["::/0"]])
def test_trusted_proxies_that_are_no_networks_or_trust_everyone_are_refused(networks: list[str]) -> None:
    with pytest.raises(InvalidTrustedProxies, match="trusted prox"):
        ClientAddress(networks)


def test_one_text_in_place_of_a_list_of_trusted_proxies_is_refused() -> None:
    with pytest.raises(InvalidTrustedProxies, match="want a list"):
        ClientAddress("")


@given(peer=st.text(max_size=80), lines=st.lists(st.binary(max_size=200), max_size=3))
def test_no_peer_and_no_header_makes_it_raise(peer: str, lines: list[bytes]) -> None:
    assert isinstance(ClientAddress(PROXIES)(scope_of(peer, *lines)), str)


@given(lines=st.lists(st.binary(max_size=200), max_size=3))
def test_no_header_of_an_untrusted_peer_changes_the_client(lines: list[bytes]) -> None:
    assert ClientAddress(PROXIES)(scope_of("203.0.113.9", *lines)) == "203.0.113.9"


@given(claimed=st.text(st.characters(codec="latin-1"), max_size=200))
def test_nothing_a_client_claims_hides_what_a_trusted_proxy_appended(claimed: str) -> None:
    line = f"{claimed}, 203.0.113.9".encode("latin-1")
    assert ClientAddress(PROXIES)(scope_of("10.0.0.1", line)) == "203.0.113.9"


@pytest.mark.parametrize(
    ("trusted", "seen"), [([], "127.0.0.1"), (["127.0.0.0/8"], "203.0.113.9")], ids=["untrusted", "trusted"]
)
def test_over_a_socket_only_a_trusted_peer_is_believed(trusted: list[str], seen: str) -> None:
    client = ClientAddress(trusted)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": client(scope).encode()})

    with serve(app, lifespan="off", proxy_headers=False) as url:
        headers = {"X-Forwarded-For": "198.51.100.1, 203.0.113.9"}
        assert httpx2.get(url, headers=headers).text == seen
