"""What a caller's URL may reach, and how long and how much it may take."""

import base64
import contextlib
import gzip
import threading
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image

from tests.media.pictures import BLUE, encoded, flat
from tests.watches import unheard
from videoworker import settings as settings_module
from videoworker.errors import Code, JobError
from videoworker.http import public_address
from videoworker.media.download import DownloadRefused, download
from videoworker.media.picture import decode_picture
from videoworker.watch import Watch

PICTURE = base64.b64decode(encoded(Image.fromarray(flat(32, 32, BLUE))))


class Server(ThreadingHTTPServer):
    """Answers on every address of this machine and writes down what was asked of it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("0.0.0.0", 0), Answer)
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.over, self.location = threading.Event(), ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answer(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.server.headers.append(dict(self.headers))
        name, _, rest = self.path[1:].partition("/")
        getattr(self, name)(rest)

    def picture(self, _: str) -> None:
        self._begin(200, length=len(PICTURE))
        self.wfile.write(PICTURE)

    def sized(self, size: str) -> None:
        self._begin(200)
        self.wfile.write(bytes(int(size)))

    def status(self, status: str) -> None:
        self._begin(int(status))

    def hops(self, left: str) -> None:
        self.to(f"/hops/{int(left) - 1}" if int(left) else "/picture/")

    def to(self, location: str) -> None:
        self.send_response(302)
        self.send_header("Location", unquote(location).replace("PORT", str(self.server.server_port)))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def there(self, _: str) -> None:
        self.send_response(302)
        self.send_header("Location", self.server.location)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def endless(self, _: str) -> None:
        self._begin(200)
        while not self.server.over.is_set():
            self.wfile.write(bytes(65536))

    def drip(self, _: str) -> None:
        """A byte now and then: each one in time, all of them never."""
        self._begin(200)
        while not self.server.over.wait(0.05):
            self.wfile.write(b"\0")

    def packed(self, way: str) -> None:
        """A picture, or a million zeros, in an encoding that nobody has asked for."""
        encoding, _, what = way.partition("/")
        body = PICTURE if what == "picture" else bytes(1_000_000)
        body = zlib.compress(body) if encoding == "deflate" else gzip.compress(body)
        self.send_response(200)
        self.send_header("Content-Encoding", encoding)
        self.end_headers()
        self.wfile.write(body[:-9] if what == "half" else body)

    def long(self, num_bytes: str) -> None:
        self.send_response(200)
        self.send_header("Content-Security-Policy", "a" * int(num_bytes))
        self.send_header("Content-Length", str(len(PICTURE)))
        self.end_headers()
        self.wfile.write(PICTURE)

    def silent(self, _: str) -> None:
        self.server.over.wait()

    def broken(self, _: str) -> None:
        self._begin(200, length=len(PICTURE) + 1)
        self.wfile.write(PICTURE)

    def _begin(self, status: int, length: int | None = None) -> None:
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):  # the other side has had enough, as it should
            super().handle()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.over.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def fresh_settings() -> Iterator[None]:
    settings_module.settings.cache_clear()
    yield
    settings_module.settings.cache_clear()


def refusal(url: str, max_bytes: int = 10_000, max_seconds: float = 10) -> str:
    with pytest.raises(DownloadRefused) as raised:
        download(url, max_bytes, max_seconds=max_seconds)
    return str(raised.value)


@pytest.mark.usefixtures("private_allowed")
def test_picture(server: Server) -> None:
    assert np.array_equal(decode_picture(f"{server.url}/picture/", "image"), flat(32, 32, BLUE))


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "127.0.0.2", "0.0.0.0", "[::ffff:127.0.0.1]", "[::1]", "１２７.0.0.1"]
)
def test_this_machine(server: Server, host: str) -> None:
    """This machine is not asked, whatever it is called."""
    assert "public address" in refusal(f"http://{host}:{server.server_port}/picture/")
    assert server.asked == []


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f000001", "017700000001", "127.0.0.1.", "127.0.0.1%00"])
def test_this_machine_by_number(server: Server, host: str) -> None:
    """This machine is not asked under an unusual spelling of its address."""
    refusal(f"http://{host}:{server.server_port}/picture/")
    assert server.asked == []


@pytest.mark.parametrize("host", ["10.0.0.1", "169.254.169.254", "[fe80::1]", "[::ffff:100.64.0.1]"])
def test_private_address(host: str) -> None:
    assert "public address" in refusal(f"http://{host}/")
    assert "public address" in refusal(f"https://{host}/")


def test_refusal_as_invalid_image(server: Server) -> None:
    """The caller gets INVALID_IMAGE, without the query of the URL, which may be secret."""
    with pytest.raises(JobError) as raised:
        decode_picture(f"{server.url}/picture/?token=secret", "image")
    assert raised.value.code is Code.INVALID_IMAGE
    [problem] = raised.value.fields
    assert (problem.field, problem.given) == ("image", f"{server.url}/picture/")
    assert problem.allowed == "the URL must lead to a public address"


@pytest.fixture
def only_first_is_public(monkeypatch: pytest.MonkeyPatch) -> None:
    """No address of this machine is public, so one is declared to be."""
    monkeypatch.setattr(public_address, "is_public", lambda host: host == "127.0.0.1")


@pytest.mark.usefixtures("only_first_is_public")
def test_redirect(server: Server) -> None:
    assert download(f"{server.url}/to/http://127.0.0.1:PORT/picture/", 10_000) == PICTURE


@pytest.mark.usefixtures("only_first_is_public")
@pytest.mark.parametrize("host", ["127.0.0.2", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"])
def test_redirect_to_private_address(server: Server, host: str) -> None:
    """It is refused before it is asked."""
    assert "public address" in refusal(f"{server.url}/to/http://{host}:PORT/picture/")
    assert [unquote(path) for path in server.asked] == [f"/to/http://{host}:PORT/picture/"]


@pytest.mark.usefixtures("private_allowed")
@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://127.0.0.1/a", "data:image/png;base64,AAAA"])
def test_redirect_to_other_scheme(server: Server, location: str) -> None:
    assert "http(s) URL" in refusal(f"{server.url}/to/{location}")


AS_THEY_CAME = [
    "/picture/a%2Fb%2cc?x=%28%27%29&y=a+b%20c&Signature=a%2Bb%3D",
    "/picture/(a',b)~?x='(*)!&y=[1];z|{}",
    "/picture//a/./b/../c?",
    "/picture/%7Ea%41?%zz",
]


@pytest.mark.usefixtures("private_allowed")
@pytest.mark.parametrize("path", AS_THEY_CAME)
def test_bytes_of_a_url(server: Server, path: str) -> None:
    """They are sent as they came: a signature holds for them alone."""
    download(f"{server.url}{path}", 10_000)
    assert server.asked == [path.removesuffix("?")]


@pytest.mark.usefixtures("private_allowed")
@pytest.mark.parametrize("path", AS_THEY_CAME)
def test_bytes_of_a_redirect(server: Server, path: str) -> None:
    server.location = f"{server.url}{path}"
    download(f"{server.url}/there/", 10_000)
    assert server.asked[1:] == [path.removesuffix("?")]


@pytest.mark.usefixtures("private_allowed")
@pytest.mark.parametrize("path", ["/picture/bild ä", "/picture/a\r\nX-Other: b"])
def test_characters_that_no_url_has(server: Server, path: str) -> None:
    """They are quoted. A line break does not become another header."""
    with contextlib.suppress(DownloadRefused):
        download(f"{server.url}{path}", 10_000)
    assert all(" " not in asked for asked in server.asked)
    assert not any("X-Other" in headers for headers in server.headers)


@pytest.mark.usefixtures("private_allowed")
@pytest.mark.parametrize("num_bytes", [9_000, 60_000])
def test_long_header(server: Server, num_bytes: int) -> None:
    assert download(f"{server.url}/long/{num_bytes}", 10_000) == PICTURE


@pytest.mark.usefixtures("private_allowed")
@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "deflate"])
def test_compression(server: Server, encoding: str) -> None:
    """It is undone although nobody has asked for it. The limit holds for what it holds."""
    assert download(f"{server.url}/packed/{encoding}/picture", 10_000) == PICTURE
    assert "more than 10000 bytes" in refusal(f"{server.url}/packed/{encoding}/zeros")
    assert "broken compression" in refusal(f"{server.url}/packed/{encoding}/half", 2_000_000)


@pytest.mark.usefixtures("private_allowed")
def test_other_compression(server: Server) -> None:
    assert "content encoding 'br'" in refusal(f"{server.url}/packed/br/picture")


@pytest.mark.usefixtures("private_allowed")
def test_redirect_limit(server: Server) -> None:
    """Five redirects are followed, a sixth is not."""
    assert download(f"{server.url}/hops/4", 10_000) == PICTURE
    assert "more than 5 times" in refusal(f"{server.url}/hops/5")


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://example.com/a", "//example.com/a", "http:///a", "example"]
)
def test_scheme_and_host(url: str) -> None:
    """Only http(s) URLs with a host are fetched."""
    assert "http:// or https://" in refusal(url)


@pytest.mark.parametrize("url", ["http://[::1", "http://example.com:99999/", "http://\ud800/"])
def test_not_a_url(url: str) -> None:
    assert refusal(url) == "is not a URL"


def test_password() -> None:
    assert "password" in refusal("https://user:hunter2@example.com/")


@pytest.mark.usefixtures("private_allowed")
def test_largest_body(server: Server) -> None:
    """The largest allowed body is fetched. One byte more is refused."""
    assert len(download(f"{server.url}/sized/1000", 1000)) == 1000
    assert "more than 1000 bytes" in refusal(f"{server.url}/sized/1001", 1000)


@pytest.mark.usefixtures("private_allowed")
def test_endless_body(server: Server) -> None:
    assert "more than 1000000 bytes" in refusal(f"{server.url}/endless/", 1_000_000)


@pytest.mark.usefixtures("private_allowed")
@pytest.mark.parametrize("way", ["drip", "silent"])
def test_time_limit(server: Server, way: str) -> None:
    """The time limit holds for the whole fetch, however slowly the server sends."""
    assert "longer than 0.5 seconds" in refusal(f"{server.url}/{way}/", max_seconds=0.5)


@pytest.mark.usefixtures("private_allowed")
@pytest.mark.parametrize("way", ["drip", "silent"])
def test_check(server: Server, way: str) -> None:
    """A cancel ends the fetch."""

    def clock() -> float:
        if server.asked:
            watch.cancel.set()
        return 0.0

    watch = Watch("a", unheard, 1000.0, clock)
    with pytest.raises(JobError) as raised:
        decode_picture(f"{server.url}/{way}/", "image", watch)
    assert raised.value.code is Code.CANCELLED


@pytest.mark.usefixtures("private_allowed")
def test_broken_body(server: Server) -> None:
    assert refusal(f"{server.url}/broken/") == "could not be fetched"


@pytest.mark.usefixtures("private_allowed")
@pytest.mark.parametrize("status", [204, 404, 500])
def test_status(server: Server, status: int) -> None:
    assert f"status {status}" in refusal(f"{server.url}/status/{status}")


@pytest.mark.usefixtures("private_allowed")
def test_closed_port(server: Server) -> None:
    port = server.server_port
    server.over.set()
    server.shutdown()
    server.server_close()
    assert refusal(f"http://127.0.0.1:{port}/") == "cannot be reached"


@pytest.mark.usefixtures("private_allowed")
def test_environment_is_ignored(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Neither a proxy nor the netrc file of the environment is used."""
    netrc = tmp_path_factory.mktemp("home") / "netrc"
    netrc.write_text("machine 127.0.0.1 login user password hunter2\n")
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert download(f"{server.url}/picture/", 10_000) == PICTURE
    assert "Authorization" not in server.headers[0]
