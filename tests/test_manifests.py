"""The Kubernetes manifests: valid, restricted, durable, and closed to the private network.

They are read as written. Where `kubectl` or `kustomize` is installed, what they build is validated
too.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import TypeAlias

import kubernetes_validate  # type: ignore[import-untyped]  # it ships no types
import pytest
import redis
import yaml
from redis.exceptions import AuthenticationError, NoPermissionError

from app.processes.valkey import find_binary
from app.settings import Settings, read_settings
from tests.fakes.waiting import wait_until

Node: TypeAlias = "dict[str, Node] | list[Node] | str | int | bool | None"

ROOT = Path(__file__).resolve().parent.parent
BASE = ROOT / "k8s" / "base"
EXAMPLE = ROOT / "k8s" / "overlays" / "example"
# The oldest version whose pods may sleep before they stop, and the newest with known schemas.
VERSIONS = ("1.30", kubernetes_validate.latest_version())

ROOT_SECRET = "5f" * 32
OURS = ("pillarbox-api", "pillarbox-worker")
WORKLOADS = (*OURS, "pillarbox-valkey")
VOLUMES = {"configMap", "emptyDir", "persistentVolumeClaim", "projected", "secret"}


def at(node: Node, *path: str | int) -> Node:
    """Follow keys and indexes; None where there is nothing."""
    for step in path:
        if isinstance(node, dict) and isinstance(step, str):
            node = node.get(step)
        elif isinstance(node, list) and isinstance(step, int):
            node = node[step]
        else:
            return None
    return node


def every(node: Node, *path: str | int) -> list[Node]:
    """The items of a list, none where there is nothing."""
    found = at(node, *path)
    return found if isinstance(found, list) else []


def text(node: Node, *path: str | int) -> str:
    found = at(node, *path)
    assert isinstance(found, str), f"{path} is no text"
    return found


def number(node: Node, *path: str | int) -> int:
    found = at(node, *path)
    assert isinstance(found, int), f"{path} is no number"
    return found


def documents(source: str) -> list[Node]:
    return [document for document in yaml.safe_load_all(source) if document]


def kustomization(folder: Path) -> Node:
    return documents((folder / "kustomization.yaml").read_text())[0]


def base() -> list[Node]:
    files = [BASE / str(name) for name in every(kustomization(BASE), "resources")]
    return [document for file in files for document in documents(file.read_text())]


def named(kind: str, name: str) -> Node:
    found = [it for it in base() if at(it, "kind") == kind and at(it, "metadata", "name") == name]
    assert len(found) == 1, f"{kind} {name}"
    return found[0]


def workload(name: str) -> Node:
    return named("StatefulSet" if name == "pillarbox-valkey" else "Deployment", name)


def pod(name: str) -> Node:
    return at(workload(name), "spec", "template", "spec")


def container(name: str) -> Node:
    containers = every(pod(name), "containers")
    assert len(containers) == 1
    return containers[0]


def settings_file() -> dict[str, str]:
    lines = (BASE / "settings.env").read_text().splitlines()
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: value for name, _, value in pairs}


def environment(name: str) -> dict[str, str]:
    """What the container finds in its environment, with values for those of the Secrets."""
    own = {text(it, "name"): at(it, "value") for it in every(container(name), "env")}
    secrets = {"VALKEY_PASSWORD": "secret", "PILLARBOX_SECRETS__KEY": ROOT_SECRET}
    merged = settings_file() | {key: str(value or secrets[key]) for key, value in own.items()}
    return {key: value.replace("$(VALKEY_PASSWORD)", "secret") for key, value in merged.items()}


def label(document: Node) -> str:
    return f"{at(document, 'kind')}-{at(document, 'metadata', 'name')}"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("document", base(), ids=label)
def test_a_manifest_is_valid(document: Node, version: str) -> None:
    kubernetes_validate.validate(document, version, strict=True)


def test_a_misspelt_field_is_noticed() -> None:
    with pytest.raises(kubernetes_validate.ValidationError, match="replica"):
        kubernetes_validate.validate(
            {"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replica": 1}},
            VERSIONS[-1],
            strict=True,
        )


@pytest.mark.parametrize("folder", [BASE, EXAMPLE], ids=["base", "example"])
def test_the_kustomization_names_every_file(folder: Path) -> None:
    told = yaml.dump(kustomization(folder))
    files = {it.name for it in folder.iterdir() if it.is_file()}
    made_by_hand = {it for it in files if "secret" in it and it.endswith(".env")}
    assert {it for it in files - made_by_hand - {"kustomization.yaml"} if it not in told} == set()


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_pod_passes_the_restricted_profile(name: str) -> None:
    spec, only = pod(name), container(name)
    assert at(spec, "securityContext", "runAsNonRoot") is True
    assert number(spec, "securityContext", "runAsUser") > 0
    assert at(spec, "securityContext", "seccompProfile", "type") == "RuntimeDefault"
    assert at(only, "securityContext", "allowPrivilegeEscalation") is False
    assert at(only, "securityContext", "capabilities") == {"drop": ["ALL"]}
    assert not any(at(spec, key) for key in ("hostNetwork", "hostPID", "hostIPC"))
    assert not any(at(port, "hostPort") for port in every(only, "ports"))
    kinds = {key for it in every(spec, "volumes") if isinstance(it, dict) for key in it}
    assert kinds - {"name"} <= VOLUMES


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_pod_has_no_more_than_it_needs(name: str) -> None:
    spec, only = pod(name), container(name)
    assert at(only, "securityContext", "readOnlyRootFilesystem") is True
    assert at(spec, "automountServiceAccountToken") is False
    assert at(named("ServiceAccount", name), "automountServiceAccountToken") is False
    assert at(spec, "serviceAccountName") == name
    # Kubernetes would add PILLARBOX_API_PORT=tcp://… for the Services.
    assert at(spec, "enableServiceLinks") is False
    assert at(only, "resources", "limits", "memory")
    assert at(only, "resources", "requests", "cpu")


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_selector_finds_exactly_its_pods(name: str) -> None:
    labels = {"app.kubernetes.io/name": name}
    assert at(workload(name), "spec", "template", "metadata", "labels") == labels
    assert at(workload(name), "spec", "selector", "matchLabels") == labels
    assert at(named("NetworkPolicy", name), "spec", "podSelector", "matchLabels") == labels


@pytest.mark.parametrize("name", OURS)
def test_our_pods_run_as_the_user_of_the_image(name: str) -> None:
    user = re.search(r"^USER (\d+):(\d+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert user is not None
    context = at(pod(name), "securityContext")
    assert [number(context, "runAsUser"), number(context, "runAsGroup")] == [
        *map(int, user.groups())
    ]
    assert at(container(name), "args") == [name.removeprefix("pillarbox-")]


@pytest.mark.parametrize("name", OURS)
def test_a_replaced_pod_leaves_its_work_to_others(name: str) -> None:
    assert number(workload(name), "spec", "replicas") >= 2
    assert at(workload(name), "spec", "strategy", "rollingUpdate", "maxUnavailable") == 0
    assert number(named("PodDisruptionBudget", name), "spec", "maxUnavailable") == 1


def settings_of(name: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for key, value in environment(name).items():
        monkeypatch.setenv(key, value)
    return read_settings()


@pytest.mark.parametrize("name", OURS)
def test_the_settings_are_understood(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of(name, monkeypatch)
    groups = {key.split("__")[0] for key in environment(name) if key.startswith("PILLARBOX_")}
    assert groups <= {f"PILLARBOX_{group.upper()}" for group in Settings.model_fields}
    assert settings.redis.url == "redis://:secret@pillarbox-valkey:6379/0"
    assert settings.redis.require_durable
    probed = {
        "pillarbox-api": settings.api.port,
        "pillarbox-worker": settings.worker.health_port,
    }
    assert number(container(name), "ports", 0, "containerPort") == probed[name]


@pytest.mark.parametrize("name", OURS)
def test_those_that_sign_read_the_signing_keys(name: str) -> None:
    (mount,) = every(container(name), "volumeMounts")
    assert environment(name)["PILLARBOX_DKIM__DIRECTORY"] == at(mount, "mountPath")
    assert at(mount, "readOnly") is True


def test_the_probes_ask_the_right_questions() -> None:
    kinds = ("startupProbe", "livenessProbe", "readinessProbe")
    api = [at(container("pillarbox-api"), kind, "httpGet", "path") for kind in kinds]
    worker = [at(container("pillarbox-worker"), kind, "httpGet", "path") for kind in kinds]
    assert api == ["/healthz", "/healthz", "/readyz"]
    assert worker == ["/healthz", "/healthz", None]


def test_a_worker_may_wait_for_every_final_dot(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of("pillarbox-worker", monkeypatch)
    grace = timedelta(seconds=number(pod("pillarbox-worker"), "terminationGracePeriodSeconds"))
    assert settings.delivery.timeouts.dot + settings.worker.patience < grace


def rules(name: str, direction: str) -> list[Node]:
    return every(named("NetworkPolicy", name), "spec", direction)


def ports(rule: Node) -> set[str]:
    return {str(at(port, "port")) for port in every(rule, "ports")}


def test_what_is_not_allowed_is_refused() -> None:
    spec = at(named("NetworkPolicy", "pillarbox-deny"), "spec")
    assert spec == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_each_pod_reaches_only_what_it_needs() -> None:
    assert [ports(rule) for rule in rules("pillarbox-api", "egress")] == [{"6379"}, {"53"}]
    worker = [ports(rule) for rule in rules("pillarbox-worker", "egress")]
    assert worker == [{"25", "53", "443"}, {"6379"}, {"53"}]
    assert rules("pillarbox-valkey", "egress") == []
    assert rules("pillarbox-worker", "ingress") == []


def test_only_api_and_worker_reach_valkey() -> None:
    (rule,) = rules("pillarbox-valkey", "ingress")
    (peer,) = every(rule, "from")
    (expression,) = every(peer, "podSelector", "matchExpressions")
    assert at(expression, "operator") == "In"
    assert at(expression, "values") == [*OURS]


def open_to_the_worker(address: str) -> bool:
    blocks = [at(peer, "ipBlock") for peer in every(rules("pillarbox-worker", "egress")[0], "to")]
    return any(
        ip_address(address) in ip_network(text(block, "cidr"))
        and not any(ip_address(address) in ip_network(str(it)) for it in every(block, "except"))
        for block in blocks
    )


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.1", "10.0.0.1", "100.64.0.1", "127.0.0.1", "169.254.169.254", "172.16.0.1",
        "172.31.255.254", "192.168.0.1", "198.18.0.1", "224.0.0.1", "255.255.255.255",
        "::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::1", "fd00::1", "fe80::1", "ff02::1",
    ],
)  # fmt: skip
def test_the_worker_cannot_reach_a_private_address(address: str) -> None:
    assert not open_to_the_worker(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111"])
def test_the_worker_reaches_the_internet(address: str) -> None:
    assert open_to_the_worker(address)


@contextmanager
def valkey_as_deployed(folder: Path, password: str) -> Iterator[str]:
    """Run the container's own command and configuration, with its folders moved into `folder`."""
    for name in ("bin", "config", "run", "data"):
        (folder / name).mkdir()

    def moved(source: str) -> str:
        source = source.replace("/etc/valkey", f"{folder}/config")
        return source.replace("/run/valkey", f"{folder}/run").replace("/data", f"{folder}/data")

    (folder / "config" / "valkey.conf").write_text(moved((BASE / "valkey.conf").read_text()))
    server = folder / "bin" / "valkey-server"
    server.write_text(f'#!/bin/sh\nexec {find_binary()} "$@" --port 0 --unixsocket {folder}/s\n')
    server.chmod(0o755)
    command = [moved(str(part)) for part in every(container("pillarbox-valkey"), "command")]
    path = f"{folder}/bin:{os.environ['PATH']}"
    process = subprocess.Popen(
        command, env={"PATH": path, "VALKEY_PASSWORD": password}, stdout=subprocess.DEVNULL
    )
    try:
        wait_until(lambda: _is_served(folder / "s", process), lambda: "the server does not start")
        yield f"{folder}/s"
    finally:
        process.terminate()
        process.wait(20)


def _is_served(file: Path, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, "the server ended at once"
    return file.exists()


def test_valkey_as_deployed_loses_and_evicts_nothing(tmp_path: Path) -> None:
    with valkey_as_deployed(tmp_path, "hunter2") as address:
        with redis.Redis(unix_socket_path=address, password="hunter2") as client:
            wanted = {
                "appendonly": "yes",
                "appendfsync": "always",
                "maxmemory-policy": "noeviction",
            }
            assert client.config_get(*wanted) == wanted
            assert client.info("persistence")["aof_enabled"] == 1
            limit = text(container("pillarbox-valkey"), "resources", "limits", "memory")
            assert limit == "2Gi"
            assert int(client.config_get("maxmemory")["maxmemory"]) * 2 <= 2 << 30
            assert client.eval("return redis.call('INCR', KEYS[1])", 1, "key") == 1
            for forbidden in ("FLUSHALL", "KEYS *", "CONFIG SET appendonly no", "SHUTDOWN"):
                with pytest.raises(NoPermissionError):
                    client.execute_command(*forbidden.split())
        with redis.Redis(unix_socket_path=address) as stranger, pytest.raises(AuthenticationError):
            stranger.ping()


def test_no_secret_is_written_down() -> None:
    assert not [it for it in base() if at(it, "kind") == "Secret"]
    for example in EXAMPLE.glob("*.example.env"):
        assert example.read_text().endswith("=\n")


def test_the_example_names_the_secrets_that_the_base_expects() -> None:
    generated = {text(it, "name") for it in every(kustomization(EXAMPLE), "secretGenerator")}
    told = yaml.dump(base())
    read = {"pillarbox-valkey", "pillarbox-secrets"}
    assert generated == set(re.findall(r"secretName: (\S+)", told)) | read
    keys = [
        at(it, "valueFrom", "secretKeyRef")
        for name in WORKLOADS
        for it in every(container(name), "env")
    ]
    assert {text(key, "name") for key in keys if key} == read


def build(folder: Path) -> subprocess.CompletedProcess[str]:
    kustomize, kubectl = shutil.which("kustomize"), shutil.which("kubectl")
    if not (kustomize or kubectl):
        pytest.skip("neither kustomize nor kubectl is installed")
    command = [kustomize, "build"] if kustomize else [str(kubectl), "kustomize"]
    return subprocess.run([*command, folder], capture_output=True, text=True, check=False)


def test_the_example_builds_only_with_its_secrets(tmp_path: Path) -> None:
    shutil.copytree(
        ROOT / "k8s", tmp_path / "k8s", ignore=shutil.ignore_patterns("*secret*.env", "dkim")
    )
    example = tmp_path / "k8s" / "overlays" / "example"
    refused = build(example)
    assert refused.returncode != 0
    assert "secret" in refused.stderr

    (example / "secrets.env").write_text("VALKEY_PASSWORD=0123456789\n")
    (example / "root-secret.env").write_text(f"PILLARBOX_SECRETS__KEY={ROOT_SECRET}\n")
    (example / "dkim").mkdir()
    (example / "dkim" / "example.com.s1.pem").write_text("a key\n")
    built = build(example)
    assert built.returncode == 0, built.stderr
    for document in documents(built.stdout):
        kubernetes_validate.validate(document, VERSIONS[-1], strict=True)
        namespace = "name" if at(document, "kind") == "Namespace" else "namespace"
        assert at(document, "metadata", namespace) == "pillarbox"
    # Labels that kustomize adds to selectors would keep every pod from the cluster's DNS.
    assert "podSelector:\n        matchLabels:\n          k8s-app: kube-dns\n" in built.stdout


def test_the_example_namespace_enforces_the_restricted_profile() -> None:
    (namespace,) = documents((EXAMPLE / "namespace.yaml").read_text())
    assert at(namespace, "metadata", "labels", "pod-security.kubernetes.io/enforce") == "restricted"
