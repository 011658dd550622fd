"""PROXY protocol headers against the examples and tables of its specification."""

from __future__ import annotations

from ipaddress import IPv6Address

import pytest

from rascal.proxy.proxyprotocol import SIGNATURE, header

V4 = (("192.0.2.1", 56324), ("198.51.100.7", 443))
V6 = (("2001:db8::1", 56324, 0, 0), ("2001:db8::7", 443, 0, 0))


@pytest.mark.parametrize(
    ("names", "line"),
    [
        (V4, b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n"),
        (V6, b"PROXY TCP6 2001:db8::1 2001:db8::7 56324 443\r\n"),
        (
            (("fe80::1%eth0", 1, 0, 2), ("fe80::2%eth0", 2, 0, 2)),
            b"PROXY TCP6 fe80::1 fe80::2 1 2\r\n",
        ),
        (
            (("::ffff:192.0.2.1", 1, 0, 0), ("::ffff:192.0.2.2", 2, 0, 0)),
            b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        ),
        (
            (("192.0.2.1", 1), ("2001:db8::7", 2, 0, 0)),
            f"PROXY TCP6 {IPv6Address('::ffff:192.0.2.1')} 2001:db8::7 1 2\r\n".encode(),
        ),
        (("", "/run/x.sock"), b"PROXY UNKNOWN\r\n"),
        (None, b"PROXY UNKNOWN\r\n"),
    ],
)
def test_v1(names, line: bytes) -> None:
    assert header("v1", names) == line
    assert len(line) <= 107


def test_v2_ipv4() -> None:
    assert header("v2", V4) == SIGNATURE + bytes.fromhex("21 11 000c c0000201 c6336407 dc04 01bb")


def test_v2_ipv6() -> None:
    first = "20010db8000000000000000000000001"
    second = "20010db8000000000000000000000007"
    want = SIGNATURE + bytes.fromhex(f"21 21 0024 {first} {second} dc04 01bb")
    assert header("v2", V6) == want


def test_v2_unix() -> None:
    got = header("v2", ("", "/run/x.sock"))
    assert got[:16] == SIGNATURE + bytes.fromhex("21 31 00d8")
    assert got[16:124] == bytes(108)
    assert got[124:] == b"/run/x.sock".ljust(108, b"\0")


def test_v2_unknown_is_local() -> None:
    assert header("v2", None) == SIGNATURE + bytes.fromhex("20 00 0000")
