"""The Dockerfile's image as far as it can be had without Docker: what its last stage copies, beside the packages."""

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.support.clients import make_client
from tests.support.http_client import Api, Session
from tests.support.ports import free_port
from tests.support.processes import ROOT, Process, eventually
from tests.support.stack import Mode, Stack

LAST_STAGE = (ROOT / "Dockerfile").read_text().replace("\\\n", "").rpartition("\nFROM ")[2]


def command_of(instruction: str) -> list[str]:
    """In exec form, so that it gets the signals itself."""
    [command] = re.findall(rf"^{instruction}\b.*?(\[.*\])$", LAST_STAGE, re.MULTILINE)
    words: list[str] = json.loads(command)
    return words


@pytest.fixture
def image(tmp_path: Path) -> Path:
    folder = tmp_path / "image"
    folder.mkdir()
    for line in re.findall(r"^COPY (?!--from)(.+)$", LAST_STAGE, re.MULTILINE):
        *patterns, target = shlex.split(line)
        sources = [path for pattern in patterns for path in ROOT.glob(pattern)]
        assert sources, line
        for source in sources:
            if source.is_dir():
                shutil.copytree(source, folder / target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                (folder / target).mkdir(exist_ok=True)
                shutil.copy(source, folder / target)
    return folder


def files_in(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def parts(mode: Mode, tmp_path: Path) -> Iterator[Stack]:
    """A Redis and a model."""
    with Stack(tmp_path / "parts", webs=0, workers=0, mode=mode) as stack:
        yield stack


def test_every_process_runs_on_what_the_image_holds(image: Path, parts: Stack, tmp_path: Path) -> None:
    variables = dict(pair.split("=", 1) for pair in re.findall(r"\b(PYTHON\w+=\S+)", LAST_STAGE))
    environ = {**parts.environ, **variables, "PORT": str(free_port()), "FLOWER_BASIC_AUTH": "planted:password"}
    flower_environ = {**environ, "PORT": str(free_port())}
    default, starter = command_of("CMD"), ["sh", "scripts/procfile.sh"]
    assert default == [*starter, "web"]
    web = Process("image-web", default, environ, tmp_path)
    worker = Process("image-worker", [*starter, "worker"], environ, tmp_path)
    flower = Process("image-flower", [*starter, "flower"], flower_environ, tmp_path)
    url, flower_url = f"http://127.0.0.1:{environ['PORT']}", f"http://127.0.0.1:{flower_environ['PORT']}"

    def is_healthy() -> bool:
        assert web.running, web.output()
        check = command_of("HEALTHCHECK")
        return subprocess.run(check, cwd=image, env=environ, capture_output=True, check=False).returncode == 0

    def flower_asks_who() -> bool:
        assert flower.running, flower.output()
        try:
            return requests.get(flower_url, timeout=5).status_code == 401
        except requests.RequestException:
            return False

    processes, copied = (web, worker, flower), files_in(image)
    try:
        for process in processes:
            process.start(cwd=image)
        eventually(is_healthy, "the health check passes", 60)
        made = Api(url)("POST", "/api/sessions", json={"name": "Tester"}).json()
        with make_client("python", Session(made["session_id"], made["token"]), url).connect() as client:
            client.talk(parts.secret_text())
        page = requests.get(url, timeout=20)
        assert page.status_code == 200
        for asset in re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text):
            assert requests.get(url + asset, timeout=20).status_code == 200, asset
        eventually(flower_asks_who, "Flower is up", 60)
    finally:
        for process in processes:
            process.kill()
    assert files_in(image) == copied, "its user could not have written there"
