"""nginx with deploy/nginx.conf in front of some web processes."""

import re
from collections.abc import Sequence
from pathlib import Path

import requests

from tests.support.host import HERE, Host
from tests.support.ports import free_port
from tests.support.processes import ROOT, Process, clean_environment, find_program
from tests.support.stack import Web

HTTP = """
user root;
worker_processes 1;
daemon off;
error_log stderr warn;
pid {folder}/nginx.pid;
events {{}}
http {{
    log_format upstream '$request $status $upstream_addr';
    access_log {folder}/access.log upstream;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream parley {{ {servers} }}
    include {folder}/parley.conf;
}}
"""


class Nginx(Process):
    def __init__(self, webs: Sequence[Web], folder: Path, host: Host = HERE) -> None:
        self.port = free_port()
        self.url = f"http://{host.address}:{self.port}"
        self._access = folder / "access.log"
        shipped = (ROOT / "deploy" / "nginx.conf").read_text()
        # As its comment says for a list of servers instead of compose's DNS.
        config, count = re.subn(r"    resolver .*\n    set \$web web:8000;", "    set $web parley;", shipped)
        assert count == 1
        listen = f"    listen {host.address}:{self.port};"
        (folder / "parley.conf").write_text(re.sub(r"    listen 80;\n    listen \[::\]:80;", listen, config))
        servers = " ".join(f"server {address_of(web)};" for web in webs)
        (folder / "nginx.conf").write_text(HTTP.format(folder=folder, servers=servers))
        command = [find_program("nginx"), "-c", str(folder / "nginx.conf"), "-e", "stderr"]
        super().__init__("nginx", host.command(command), clean_environment(folder), folder)

    def answers(self) -> bool:
        assert self.running, self.output()
        try:
            return requests.get(f"{self.url}/healthz", timeout=5).status_code == 200
        except requests.RequestException:
            return False

    def served_by(self, path: str) -> list[str]:
        """The web process's address for each request that began with this path, and is over."""
        lines = (line.split() for line in self._access.read_text().splitlines())
        return [line[-1] for line in lines if line[1].startswith(path)]


def address_of(web: Web) -> str:
    """As `served_by` names it."""
    return f"{web.host.address}:{web.port}"
