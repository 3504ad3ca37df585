"""Nothing that an ML service answers can make the runner ask anybody else (SSRF)."""

from __future__ import annotations

from functools import cache
from urllib.parse import unquote, urlsplit

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from drishtiksha_jobrunner.addresses import of_filename, of_url

SERVERS = ["http://models:8000", "https://ml.example.org", "http://[::1]:8000/base", "http://10.0.0.7/ml"]

_PIECES = st.sampled_from(
    ["http:", "https:", "HTTP:", "ftp:", "file:", "data:", "javascript:", "/", "//", "///", "\\", "\\\\", "@", ":", "::", "?", "#",
     ".", "..", "/../", "%2e", "%2E%2e", "%2f", "%5c", "%00", "%25", "%40", ";", "&", "[", "]", "[::1]", "localhost", "127.0.0.1",
     "models", "models:8000", "ml.example.org", "MODELS", "10.0.0.7", "evil.example", "169.254.169.254", "0x7f.1", "2130706433", "80",
     ":8000", ":443", "8000", "user", "user:key@", " ", "\t", "\r\n", "\x00", "\u3002", "\uff0f", "\u2100", "\u00ad", "a.png",
     "analyze/visualization", "base", "ml", "xn--"]
)  # fmt: skip
ANYTHING = st.one_of(st.text(max_size=60), st.lists(_PIECES, max_size=9).map("".join))


def _asked(server: str, address: str) -> httpx.URL:
    """What the runner's client would really send a request to."""
    return _client(server).build_request("GET", address).url


@cache
def _client(server: str) -> httpx.Client:
    return httpx.Client(base_url=server, trust_env=False, verify=False)


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(server=st.sampled_from(SERVERS), told=ANYTHING)
@example(server=SERVERS[0], told="http://models:8000@evil.example/a.png")
@example(server=SERVERS[0], told="http://models:8000\\@evil.example/a.png")
@example(server=SERVERS[0], told="//evil.example/a.png")
@example(server=SERVERS[0], told="/\\evil.example/a.png")
@example(server=SERVERS[0], told="http:evil.example/a.png")
@example(server=SERVERS[0], told="\thttp://evil.example/a.png")
@example(server=SERVERS[1], told="http://ml.example.org/a.png")
@example(server=SERVERS[1], told="https://ml.example.org:8443/a.png")
@example(server=SERVERS[1], told="https://ml.example.org.evil.example/a.png")
def test_whatever_an_address_says_only_the_services_own_origin_is_asked(server: str, told: str) -> None:
    try:
        address = of_url(server, told)
    except ValueError:
        return
    own, asked, plain = httpx.URL(server), _asked(server, address), urlsplit(address)
    assert (asked.scheme, asked.host, asked.port, asked.userinfo) == (own.scheme, own.host, own.port, b"")
    assert plain[:2] == urlsplit(server)[:2]
    # Some characters are escaped on the way; nothing is resolved.
    assert unquote(asked.raw_path) == unquote(plain.path + (f"?{plain.query}" if plain.query else ""))
    assert not {".", ".."} & set(unquote(plain.path).split("/"))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(server=st.sampled_from(SERVERS), told=ANYTHING)
@example(server=SERVERS[0], told="../../stats")
@example(server=SERVERS[0], told="a?b#c;d&e")
def test_whatever_a_file_is_called_it_is_one_file_of_one_folder(server: str, told: str) -> None:
    try:
        address = of_filename(server, told)
    except ValueError:
        return
    asked = _asked(server, address)
    folder, _, name = asked.raw_path.decode().rpartition("/")
    own = httpx.URL(server)
    assert (asked.scheme, asked.host, asked.port) == (own.scheme, own.host, own.port)
    assert folder == f"{urlsplit(server).path}/analyze/visualization"
    assert (unquote(name), name not in ("", ".", ".."), "?" in name) == (told, True, False)


@pytest.mark.parametrize(
    ("server", "told", "address"),
    [
        (SERVERS[0], "http://models:8000/out/s.png?v=1#top", "http://models:8000/out/s.png?v=1"),
        (SERVERS[0], "HTTP://Models:8000/out/s.png", "http://models:8000/out/s.png"),
        (SERVERS[1], "https://ml.example.org:443/s.png", "https://ml.example.org/s.png"),
        (SERVERS[2], "/out/s.png", "http://[::1]:8000/out/s.png"),
        (SERVERS[2], "out/s.png", "http://[::1]:8000/base/out/s.png"),
        (SERVERS[3], "/a%20b/s.png", "http://10.0.0.7/a%20b/s.png"),
    ],
)
def test_an_address_of_the_service_is_taken(server: str, told: str, address: str) -> None:
    assert of_url(server, told) == address


@pytest.mark.parametrize(
    "told",
    [
        "http://evil.example/a.png", "//evil.example/a.png", "https://models:8000/a.png", "http://models/a.png",
        "http://user@models:8000/a.png", "http://models:80000/a.png", "http://[::1/a.png", "file:///etc/hostname", "data:,x",
        "/a/../b.png", "/a/%2e%2e/b.png", "/a%2fb.png", "//models:8000//a.png", "/a\\b.png", "/a b.png", "/\u00fc.png",
        "http://models:8000", "/" + "a" * 2048,
    ],
)  # fmt: skip
def test_an_address_of_somebody_else_or_an_unclear_one_is_refused(told: str) -> None:
    with pytest.raises(ValueError, match=r"^its address "):
        of_url(SERVERS[0], told)


def test_names_as_services_make_them_are_taken() -> None:
    for name in ("viz_1a2b.png", "clip (1) final.jpg", "übung.webp", "a..b.png", "x" * 255):
        assert unquote(of_filename(SERVERS[3], name)) == f"http://10.0.0.7/ml/analyze/visualization/{name}"
