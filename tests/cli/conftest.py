"""A cloud that is served over HTTP, and the command line as a person has it, with a home of its own."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from forebay.cli import main
from tests.api.cloud import Cloud
from tests.api.wire import Loop


class Said(msgspec.Struct, frozen=True):
    """How a command ended, and what it said on each side."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.status == 0, self
        return msgspec.json.decode(self.out)


Run = Callable[..., Said]


@pytest.fixture(scope="module")
def served(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cloud, str]]:
    """A cloud and its address."""
    folder, loop = tmp_path_factory.mktemp("cloud"), Loop()
    cloud = Cloud(folder, f"sqlite:///{shutil.copy(sqlite_template, folder / 'forebay.db')}", loop)
    with cloud.served() as port:
        yield cloud, f"http://127.0.0.1:{port}"
    cloud.close()
    loop.close()


@pytest.fixture
def cloud(served: tuple[Cloud, str]) -> Cloud:
    return served[0]


@pytest.fixture
def url(served: tuple[Cloud, str]) -> str:
    return served[1]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this test's credentials are."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path


@pytest.fixture
def run(home: Path, url: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs a command in this process, which is faster, with `token` as what it signs in with."""

    def run(*arguments: str | Path, token: str | None = None, **environment: str) -> Said:
        with monkeypatch.context() as patched:
            patched.setenv("FOREBAY_SERVER", url)
            if token is not None:
                patched.setenv("FOREBAY_TOKEN", token)
            for name, value in environment.items():
                patched.setenv(name, value)
            patched.setattr("sys.argv", ["forebay", *map(str, arguments)])
            capfd.readouterr()
            with pytest.raises(SystemExit) as ended:
                main()
        return Said(int(ended.value.code or 0), *capfd.readouterr())

    return run
