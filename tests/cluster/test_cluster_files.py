"""The cluster files: Ray's own schema, and the rules of this house, all without a cloud."""

from __future__ import annotations

import inspect
import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config
from typer.testing import CliRunner

from beliefmod.cli.app import app
from beliefmod.fleet.cluster import GPUS_TO_COME
from beliefmod.fleet.socket_folder import MOST_BYTES, OF_SESSION

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs" / "cluster"
LAUNCHED = {"aws": ROOT / "cluster.yaml", "gcp": DOCS / "gcp.yaml", "local": DOCS / "local.yaml"}
CLOUDS = ("aws", "gcp")
KUBERAY, NETWORK = DOCS / "kuberay.yaml", DOCS / "aws-network.yaml"
SLURM = DOCS / "slurm.sh"
EVERY = [*LAUNCHED.values(), KUBERAY]
PINS = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE))


@pytest.fixture(params=LAUNCHED)
def config(request: pytest.FixtureRequest) -> dict[str, Any]:
    return read(request.param)


def read(name: str) -> dict[str, Any]:
    return yaml.safe_load(LAUNCHED[name].read_text())


def kubernetes(kind: str) -> dict[str, Any]:
    [found] = [d for d in yaml.safe_load_all(KUBERAY.read_text()) if d["kind"] == kind]
    return found


def commands(config: dict[str, Any]) -> dict[str, list[str]]:
    return {name: lines for name, lines in config.items() if name.endswith("_commands")}


def header(path: Path) -> str:
    lines = path.read_text().splitlines()
    comments = lines[: next(i for i, line in enumerate(lines) if not line.startswith("#"))]
    return "\n".join(line.removeprefix("#").strip() for line in comments)


def test_ray_accepts(config: dict[str, Any]):
    validate_config(prepare_config(config))


def test_rays_schema_sees_a_misspelt_field():
    with pytest.raises(Exception, match="idle_timeout_minuts"):
        validate_config(prepare_config({**read("aws"), "idle_timeout_minuts": 5}))


@pytest.mark.parametrize("path", EVERY, ids=lambda path: path.name)
def test_the_header_says_what_how_and_what_it_costs(path: Path):
    said = header(path)
    for word in ("What:", "Fill in:", "Command:", "Cost:", "1 ", "2 ", "3 "):
        assert word in said, f"{path.name}: the header lacks {word}"
    if path == KUBERAY:
        return
    name = path.relative_to(ROOT)
    for command in ("ray up", "ray exec", "ray dashboard", "ray down"):
        assert f"{command} {name}" in said


@pytest.mark.parametrize("path", EVERY, ids=lambda path: path.name)
def test_the_sweep_of_the_header_is_one_that_the_command_line_takes(path: Path):
    text = header(path) + (kubernetes("RayJob")["spec"]["entrypoint"] if path == KUBERAY else "")
    sweeps = re.findall(r"(beliefmod sweep --space[^\"#]*?/shared/runs)", text.replace("\n", " "))
    assert len(sweeps) == (2 if path == KUBERAY else 1)
    for line in sweeps:
        words = shlex.split(line)[1:]
        given = dict(zip(words[1::2], words[2::2], strict=True))
        assert given["--address"] == "auto"
        assert given["--model"] == "Qwen/Qwen3-4B-Thinking-2507"
        assert (ROOT / given["--space"]).is_file()
        known = CliRunner().invoke(app, ["sweep", "--help"], env={"COLUMNS": "200"}).output
        assert all(option in known for option in given)


def test_every_command_on_ray_exists():
    from ray.scripts.scripts import cli

    names = {name for path in EVERY for name in re.findall(r"^\s*ray ([a-z-]+)", header(path), re.MULTILINE)}
    assert {"up", "exec", "down", "dashboard"} <= names <= {name.replace("_", "-") for name in cli.commands}


def test_a_token_on_every_node_and_in_both_starts(config: dict[str, Any]):
    assert config["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    for name in ("head_start_ray_commands", "worker_start_ray_commands"):
        [start] = [line for line in config[name] if "ray start" in line]
        assert "export RAY_AUTH_MODE=token" in start.partition("ray start")[0]
        assert "RAY_USAGE_STATS_ENABLED=0" in start
    # the sweep that is started by `ray exec` joins with the token as well
    assert any("RAY_AUTH_MODE=token" in line and "~/.bashrc" in line for line in config["setup_commands"])


def test_a_job_that_is_stopped_has_time_to_keep_what_it_has():
    """Ray reads the name in the process that supervises a job, which runs on the head."""
    from ray.dashboard.modules.job import job_supervisor

    source = inspect.getsource(job_supervisor.JobSupervisor.run)
    assert '"RAY_JOB_STOP_WAIT_TIME_S"' in source
    for name in LAUNCHED:
        [start] = [line for line in read(name)["head_start_ray_commands"] if "ray start" in line]
        assert "export RAY_JOB_STOP_WAIT_TIME_S=120;" in start.partition("ray start")[0]
    head = kubernetes("RayJob")["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]
    assert {"name": "RAY_JOB_STOP_WAIT_TIME_S", "value": "120"} in head["containers"][0]["env"]


def test_the_dashboard_stays_on_the_head(config: dict[str, Any]):
    [start] = [line for line in config["head_start_ray_commands"] if "ray start" in line]
    assert "--dashboard-host=127.0.0.1" in start


@pytest.mark.parametrize("path", EVERY, ids=lambda path: path.name)
def test_nothing_is_open_to_the_world(path: Path):
    text = path.read_text()
    for word in ("0.0.0.0", "::/0", "disabled", "LoadBalancer", "NodePort", "accessConfigs:"):
        assert word not in text, f"{path.name}: {word}"


@pytest.mark.parametrize("name", CLOUDS)
def test_the_network_is_ours_for_the_default_lets_the_world_knock(name: str):
    config = read(name)
    for machine in config["available_node_types"].values():
        if name == "aws":
            assert machine["node_config"]["SubnetIds"] and machine["node_config"]["SecurityGroupIds"]
        else:
            assert all("accessConfigs" not in net for net in machine["node_config"]["networkInterfaces"])
            assert config["provider"]["use_internal_ips"]


def test_the_template_lets_in_ssh_from_one_address_and_nothing_else():
    class Loader(yaml.SafeLoader):
        """CloudFormation's short functions read as ["!Ref", name]."""

    Loader.add_constructor("!Ref", lambda loader, node: ["!Ref", node.value])
    template = yaml.load(NETWORK.read_text(), Loader=Loader)
    resources = template["Resources"]
    [group] = [r for r in resources.values() if r["Type"] == "AWS::EC2::SecurityGroup"]
    [rule] = group["Properties"]["SecurityGroupIngress"]
    assert (rule["FromPort"], rule["ToPort"], rule["CidrIp"]) == (22, 22, ["!Ref", "MyAddress"])
    pattern = template["Parameters"]["MyAddress"]["AllowedPattern"]
    assert re.fullmatch(pattern, "198.51.100.7/32") and not re.fullmatch(pattern, "0.0.0.0/0")
    inner = [r["Properties"] for r in resources.values() if r["Type"] == "AWS::EC2::SecurityGroupIngress"]
    assert all(rule["SourceSecurityGroupId"] == ["!Ref", "Group"] and "CidrIp" not in rule for rule in inner)


@pytest.mark.parametrize("name", CLOUDS)
def test_spot_workers_from_none_and_a_head_that_stays(name: str):
    config = read(name)
    types = dict(config["available_node_types"])
    head = types.pop(config["head_node_type"])
    assert head["resources"].get("GPU", 0) == 0 and head["resources"]["CPU"] == 0
    assert "min_workers" not in head and not is_spot(head["node_config"])
    assert types
    coming = sum(worker["max_workers"] * worker["resources"]["GPU"] for worker in types.values())
    assert head["resources"][GPUS_TO_COME] == coming  # sweeps believe it
    for worker in types.values():
        assert worker["min_workers"] == 0 and worker["max_workers"] <= config["max_workers"]
        assert worker["resources"]["GPU"] == 1 and is_spot(worker["node_config"])
    assert 5 <= config["idle_timeout_minutes"] <= 15
    assert config["provider"]["cache_stopped_nodes"] is False


def is_spot(machine: dict[str, Any]) -> bool:
    aws = machine.get("InstanceMarketOptions", {}).get("MarketType") == "spot"
    return aws or machine.get("scheduling", {}).get("provisioningModel") == "SPOT"


def test_what_is_installed_is_pinned(config: dict[str, Any]):
    installs = [
        line
        for lines in commands(config).values()
        for line in lines
        if re.search(r"pip install|uv pip", line)
    ]
    assert any(
        "-c ~/beliefmod/constraints.txt" in line and line.endswith("-e ~/beliefmod") for line in installs
    )
    for line in installs:
        for word in shlex.split(line.partition("pip install")[2]):
            assert word.startswith(("-", "~/beliefmod")) or "==" in word, f"{word} is not pinned in: {line}"
    mounted = set(config["file_mounts"].values()) - {"~/.ray/auth_token"}
    assert {"beliefmod", "analysis", "interp", "sweeps", "pyproject.toml", "constraints.txt"} <= mounted
    assert all((ROOT / path).exists() for path in mounted)


def test_runs_and_models_are_on_shared_storage(config: dict[str, Any]):
    lines = [line for lines in commands(config).values() for line in lines]
    assert all("HF_HOME=/shared/huggingface" in line for line in lines if "ray start" in line)
    if config["provider"]["type"] in CLOUDS:
        assert any("mount -t nfs" in line for line in config["setup_commands"])


@pytest.mark.parametrize("name", CLOUDS)
def test_what_is_to_be_filled_in_cannot_be_forgotten(name: str):
    """Ray refuses such names only when it asks the cloud; nothing is rented by mistake."""
    found = re.findall(r"[\w.-]*FILL-IN[\w.-]*", yaml.safe_dump(read(name)["metadata"]))
    assert len(found) >= 3


def test_kubernetes_keeps_the_same_rules():
    """The structure only: the resource definition itself is too large to keep; docs/cluster.md says what was
    checked against it by hand."""
    job = kubernetes("RayJob")["spec"]
    cluster = job["rayClusterSpec"]
    assert job["shutdownAfterJobFinishes"] is True and job["backoffLimit"] == 0
    assert cluster["authOptions"] == {"mode": "token"}
    assert cluster["rayVersion"] == PINS["ray"]
    assert cluster["enableInTreeAutoscaling"] is True
    assert 300 <= cluster["autoscalerOptions"]["idleTimeoutSeconds"] <= 900
    head = cluster["headGroupSpec"]
    assert head["serviceType"] == "ClusterIP" and head["rayStartParams"]["num-cpus"] == "0"
    pod = head["template"]["spec"]
    assert "nodeSelector" not in pod and "nvidia.com/gpu" not in str(pod)
    coming = json.loads(json.loads(head["rayStartParams"]["resources"]))[GPUS_TO_COME]
    assert coming == sum(group["maxReplicas"] for group in cluster["workerGroupSpecs"])
    for group in cluster["workerGroupSpecs"]:
        assert group["minReplicas"] == group["replicas"] == 0 < group["maxReplicas"]
        worker = group["template"]["spec"]
        assert "spot" in str(worker["nodeSelector"])
        assert worker["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
    claim = kubernetes("PersistentVolumeClaim")
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    policy = kubernetes("NetworkPolicy")["spec"]
    for labels in (head["template"]["metadata"]["labels"], job["submitterPodTemplate"]["metadata"]["labels"]):
        assert policy["podSelector"]["matchLabels"] == labels
    assert all(rule["from"] for rule in policy["ingress"])


def test_the_image_and_the_pins_name_one_ray():
    [base] = re.findall(r"^FROM (\S+)$", (DOCS / "Dockerfile").read_text(), re.MULTILINE)
    assert base.startswith(f"rayproject/ray:{PINS['ray']}-py311")
    low, high = re.findall(
        r'"ray\[default,tune\]>=([\d.]+),<([\d.]+)"', (ROOT / "pyproject.toml").read_text()
    )[0]
    assert low == PINS["ray"].rpartition(".")[0] < high


def test_the_slurm_script_keeps_the_same_rules():
    said, text = header(SLURM), SLURM.read_text()
    for word in ("What:", "Fill in:", "Command:", "Cost:", "1 ", "2 ", "3 ", "sbatch slurm.sh"):
        assert word in said, f"{SLURM.name}: the header lacks {word}"
    subprocess.run(["bash", "-n", SLURM], check=True)
    for word in (
        "--signal=B:TERM@",
        "--requeue",
        "--no-kill",
        "--dependency=singleton",
        "RAY_AUTH_MODE=token",
    ):
        assert word in text
    for word in ("0.0.0.0", "--dashboard-host", "ray stop"):  # the last would end other jobs' Ray
        assert word not in text
    [command] = re.findall(r"beliefmod sweep --auto-resume(.*?)&\n", text, re.DOTALL)
    known = CliRunner().invoke(app, ["sweep", "--help"], env={"COLUMNS": "200"}).output
    assert all(option in known for option in [*re.findall(r"--[a-z-]+", command), "--auto-resume"])
    own_disk = re.findall(r'RAY_TMPDIR="\$OWN_DISK/bm\$SLURM_JOB_ID"', text)
    assert own_disk and MOST_BYTES - OF_SESSION - len("/bm12345678") >= 30  # as the header says


@pytest.mark.parametrize(
    "target", re.findall(r"\]\(((?!http)[^)]+)\)", (ROOT / "docs" / "cluster.md").read_text())
)
def test_links_of_the_page_lead_somewhere(target: str):
    assert (ROOT / "docs" / target).exists()
