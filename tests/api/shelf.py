"""What lies at addresses that the server asks, without a network: pages by their URL."""

from collections.abc import Mapping

from forebay.outside import Answered, words

SOURCES = ("GitHub=https://github.test/{user}.keys", "Our Forge=https://forge.test/api/keys?of={user}")


class Shelf:
    """Answers as `Outside` does."""

    def __init__(self) -> None:
        self.pages: dict[str, tuple[int, bytes]] = {}
        self.reason = ""
        """Why nothing answers, where it is set."""
        self.asked: list[str] = []

    def put(self, url: str, *lines: str) -> None:
        """These lines lie there from now on."""
        self.pages[url] = (200, "".join(f"{line}\n" for line in lines).encode())

    def get(self, url: str, headers: Mapping[str, str], *, most_bytes: int) -> Answered:
        self.asked.append(url)
        if self.reason:
            return Answered(status_code=None, reason=self.reason, milliseconds=1)
        status_code, body = self.pages.get(url, (404, b""))
        assert len(body) <= most_bytes
        return Answered(status_code=status_code, reason=words(status_code), milliseconds=1, body=body)
