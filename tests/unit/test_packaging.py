"""What is shipped beside the code agrees with itself."""

import json
import re
import subprocess
import sys
import tomllib
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose
from dotenv import dotenv_values
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from app.settings import Settings

ROOT = Path(__file__).resolve().parents[2]


def procfile() -> dict[str, str]:
    return dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines())


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return loaded


def test_env_example_shows_every_default_as_it_may_be_given() -> None:
    text = re.sub(r"^#([A-Z_]+=)", r"\1", (ROOT / ".env.example").read_text(), flags=re.MULTILINE)
    given = {name.lower(): value for name, value in dotenv_values(stream=StringIO(text)).items() if value}
    assert {"openai_model", "system_prompt", "prices"} <= set(given)
    needed = {"debug": True, "openai_api_key": "sk-x"}
    assert Settings.model_validate(given | needed) == Settings.model_validate(needed)


def test_env_example_shows_every_setting() -> None:
    found = subprocess.run([sys.executable, "-m", "scripts.env_example", "--check"], cwd=ROOT, check=False)
    assert found.returncode == 0


def test_procfile_names_the_three_processes() -> None:
    assert set(procfile()) == {"web", "worker", "flower"}


def run_from_procfile(tmp_path: Path, name: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """With stand-ins for the programs, which say how they were called."""
    for program in ("gunicorn", "celery"):
        stand_in = tmp_path / program
        stand_in.write_text('#!/bin/sh\necho "$$ ${FLOWER_BASIC_AUTH:-}" "$@"\n')
        stand_in.chmod(0o755)
    return subprocess.run(
        ["sh", "-c", f'echo "$$"; exec sh {ROOT}/scripts/procfile.sh {name}'],
        cwd=ROOT,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", **environ},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("name", ["web", "worker"])
def test_a_process_takes_the_place_of_its_starter(tmp_path: Path, name: str) -> None:
    first, second = run_from_procfile(tmp_path, name).stdout.splitlines()
    assert second.split()[0] == first


def test_worker_takes_its_pool_and_size_from_the_environment(tmp_path: Path) -> None:
    said = run_from_procfile(tmp_path, "worker", ASYNC_MODE="eventlet", WORKER_CONCURRENCY="7").stdout
    assert "--pool eventlet --concurrency 7 " in said


@pytest.mark.parametrize("environ", [{}, {"FLOWER_BASIC_AUTH": ""}])
def test_flower_does_not_start_open_to_the_world(tmp_path: Path, environ: dict[str, str]) -> None:
    refused = run_from_procfile(tmp_path, "flower", **environ)
    assert refused.returncode != 0
    assert "set it to user:password" in refused.stderr


def test_flower_is_given_its_password_by_environment(tmp_path: Path) -> None:
    said = run_from_procfile(tmp_path, "flower", FLOWER_BASIC_AUTH="me:a b").stdout
    assert "me:a b --app celery_worker flower" in said


def test_an_unknown_process_is_refused(tmp_path: Path) -> None:
    refused = run_from_procfile(tmp_path, "cron")
    assert (refused.returncode, refused.stderr) == (2, "Procfile names no process 'cron'.\n")


def test_compose_runs_the_procfile_s_commands() -> None:
    services = compose()["services"]
    assert set(services) == {"redis", "proxy", *procfile()}
    for name in procfile():
        assert services[name]["command"] == ["sh", "scripts/procfile.sh", name]
    assert services["flower"]["profiles"] == ["flower"]
    assert [name for name in services if "profiles" in services[name]] == ["flower"]


def test_heroku_is_told_of_processes_and_settings_that_there_are() -> None:
    app = json.loads((ROOT / "app.json").read_text())
    assert set(app["formation"]) == set(procfile())
    settings = {name.upper() for name in Settings.model_fields} | {"FLOWER_BASIC_AUTH"}
    assert set(app["env"]) <= settings


def test_railway_starts_the_procfile_s_commands_and_lets_them_end() -> None:
    config = (ROOT / ".railway" / "railway.ts").read_text()
    assert set(re.findall(r'start: start\("(\w+)"\)', config)) == set(procfile())
    assert config.count("drainingSeconds: 30") == 2
    assert 'healthcheck: "/healthz"' in config
    assert set(re.findall(r"^    (REDIS\w+):", config, re.MULTILINE)) == {
        name.upper() for name in Settings.model_fields if re.fullmatch("redis[a-z]+", name)
    }


DOCUMENTS = [ROOT / "README.md", ROOT / "SECURITY.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


def anchors(document: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_documents_point_to_what_there_is(document: Path) -> None:
    text = document.read_text()
    for link in re.findall(r"\]\((?!https?://)([^)]+)\)", text):
        path, _, anchor = link.partition("#")
        target = document.parent / path if path else document
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link
    missing = {
        name
        for name in re.findall(r"\b(test_\w+\.py)\b", text)
        if not [path for path in (ROOT / "tests").rglob(name) if path.is_file()]
    }
    assert missing == set()


def test_make_targets_that_documents_name_are_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        target
        for document in DOCUMENTS
        for target in re.findall(r"(?:`|^|\s)make ([a-z]+)\b(?=`|\s+#|$)", document.read_text(), re.MULTILINE)
    }
    assert len(named) > 5
    assert named <= targets


def test_no_version_of_python_is_forced_on_developers() -> None:
    """pyenv would refuse to run any other than the one that the file names."""
    assert not (ROOT / ".python-version").exists()


def test_compose_is_as_its_specification_has_it() -> None:
    """Keys, types, conditions, and volumes that are declared; with every variable at its default."""
    filled = re.sub(r"\$\{\w+(?::-(\w+)|:\?[^}]+)\}", lambda variable: variable[1] or "given", json.dumps(compose()))
    PyCompose.from_json(filled).validate()


def test_compose_may_run_any_number_of_each() -> None:
    services = compose()["services"]
    assert [name for name in ("web", "worker") if {"ports", "container_name"} & services[name].keys()] == []
    assert services["web"]["environment"]["TRUSTED_PROXIES"] == "1"
    assert "./deploy/nginx.conf:/etc/nginx/conf.d/default.conf:ro" in services["proxy"]["volumes"]


def test_compose_keeps_redis_to_itself_and_its_data_on_disk() -> None:
    redis = compose()["services"]["redis"]
    assert "ports" not in redis
    assert any(volume.startswith("./deploy/redis.conf:") for volume in redis["volumes"])
    config = (ROOT / "deploy" / "redis.conf").read_text().splitlines()
    assert {"appendonly yes", "maxmemory-policy noeviction"} <= set(config)


def test_the_image_runs_as_nobody_special_with_production_packages_only() -> None:
    final = (ROOT / "Dockerfile").read_text().rpartition("\nFROM ")[2]
    users = re.findall(r"^USER (\S+)$", final, re.MULTILINE)
    assert users
    assert not {"root", "0"} & set(users)
    assert "requirements-" not in (ROOT / "Dockerfile").read_text()


def pins(name: str) -> dict[str, tuple[str, str]]:
    """Package → version and the rest of its block."""
    found: dict[str, tuple[str, str]] = {}
    for block in re.split(r"\n(?=\S)", (ROOT / name).read_text().strip()):
        match = re.match(r"([\w.-]+)(?:\[\S+\])?==([^\s;]+)", block)
        assert match, block
        found[canonicalize_name(match[1])] = (match[2], block)
    return found


def groups() -> list[tuple[str, list[str]]]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = {
        name: [one for one in listed if isinstance(one, str)] for name, listed in project["dependency-groups"].items()
    }
    return [
        ("requirements.txt", project["project"]["dependencies"]),
        ("requirements-local.txt", wanted["local"]),
        ("requirements-otel.txt", wanted["otel"]),
        ("requirements-dev.txt", wanted["dev"]),
    ]


@pytest.mark.parametrize(("name", "wanted"), groups())
def test_locks_are_in_step_with_pyproject(name: str, wanted: list[str]) -> None:
    locked = pins(name)
    for requirement in map(Requirement, wanted):
        version, _ = locked[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version, prereleases=True), f"make lock: {requirement} is at {version}"


@pytest.mark.parametrize("name", [name for name, _ in groups()])
def test_locks_have_hashes_and_name_no_index(name: str) -> None:
    assert all("--hash=sha256:" in block for _, block in pins(name).values())
    text = (ROOT / name).read_text()
    assert "://" not in text
    assert "--index-url" not in text
    assert "--find-links" not in text


def test_tests_use_the_versions_that_production_uses() -> None:
    production, tests = pins("requirements.txt"), pins("requirements-dev.txt")
    assert {name for name in production.keys() & tests.keys() if production[name][0] != tests[name][0]} == set()


def test_traces_are_added_to_production_as_they_were_tested() -> None:
    added = pins("requirements-otel.txt")
    for other in (pins("requirements.txt"), pins("requirements-dev.txt")):
        assert {name for name in added.keys() & other.keys() if added[name][0] != other[name][0]} == set()


def test_node_lock_names_no_registry() -> None:
    assert "resolved" not in (ROOT / "tests" / "support" / "node" / "package-lock.json").read_text()
