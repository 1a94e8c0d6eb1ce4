"""Whose connection it is; `tests/endpoint/test_limits.py` shows which are kept."""

import pytest

from videoworker.http.admission import network


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        (("192.0.2.1", "::ffff:192.0.2.1"), "192.0.2.1"),
        (("192.0.2.2",), "192.0.2.2"),
        (("2001:db8::1", "2001:db8::ffff:0:0:1"), "2001:db8::/64"),
        (("2001:db8:0:1::1",), "2001:db8:0:1::/64"),
        (("::1",), "::/64"),
        (("fe80::1%eth0",), "fe80::/64"),
    ],
)
def test_network(hosts: tuple[str, ...], expected: str) -> None:
    assert {network(host) for host in hosts} == {expected}
