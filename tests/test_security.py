"""What must not happen whoever wrote the file: code from disk, objects from YAML, pickles, escaping paths."""

from __future__ import annotations

import ast
import fnmatch
import json
import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from beliefmod.beliefs.expression import evaluate
from beliefmod.cli.app import app
from beliefmod.errors import UserError
from beliefmod.run.folder import RunFolder
from beliefmod.user_files.yaml_file import parse_value, parse_yaml
from tests.small import SMALL_BELIEF

ROOT = Path(__file__).parent.parent
PRODUCT = sorted(path for top in ("beliefmod", "analysis", "interp") for path in (ROOT / top).rglob("*.py"))
UNPICKLERS = {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "jsonpickle"}
FORBIDDEN = {
    "eval": "evaluates text as code",
    "exec": "runs text as code",
    "compile": "makes code of text",
    "__import__": "imports by text",
    "torch.load": "unpickles",
    "numpy.load": "may unpickle",
    "np.load": "may unpickle",
    "pandas.read_pickle": "unpickles",
    "pd.read_pickle": "unpickles",
    "os.system": "runs a shell",
    "os.popen": "runs a shell",
    "yaml.unsafe_load": "makes any object",
    "yaml.full_load": "makes many objects",
    "Tuner.restore": "unpickles Tune's state",
    "tune.Tuner.restore": "unpickles Tune's state",
    "ExperimentAnalysis": "unpickles Tune's state",
}


def offences(source: str) -> Iterator[str]:
    """What a module does that none of ours may, in words."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            named = (
                [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            )
            yield from (f"imports {name}" for name in named if name.partition(".")[0] in UNPICKLERS)
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        options = {word.arg: ast.unparse(word.value) for word in node.keywords}
        if name in FORBIDDEN:
            yield f"{name} {FORBIDDEN[name]}"
        if name == "yaml.load" and options.get("Loader") != "_Loader":
            yield "yaml.load without the safe loader"
        if options.get("shell", "False") != "False":
            yield f"{name} with a shell"
        if options.get("trust_remote_code", "False") != "False":
            yield f"{name} trusts code of a model's repository"
        if options.get("weights_only", "True") != "True":
            yield f"{name} unpickles weights"
        if name.endswith(".from_pretrained") and name.startswith("Auto"):
            yield from (
                f"{name} lacks {word}={value}"
                for word, value in (("trust_remote_code", "False"), ("local_files_only", "True"))
                if options.get(word) != value
            )
            if "Model" in name and options.get("use_safetensors") != "True":
                yield f"{name} may read pickled weights"


@pytest.mark.parametrize("path", PRODUCT, ids=[str(path.relative_to(ROOT)) for path in PRODUCT])
def test_no_module_runs_text_or_unpickles(path: Path):
    assert list(offences(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "line",
    [
        "import pickle", "from cloudpickle import loads", "eval(x)", "exec(x)", "torch.load(p)", "np.load(p)",
        "yaml.load(x, Loader=yaml.Loader)", "yaml.load(x)", "yaml.unsafe_load(x)", "os.system(x)",
        "subprocess.run(x, shell=True)", "Model.from_pretrained(x, trust_remote_code=True)",
        "AutoTokenizer.from_pretrained(x)", "tune.Tuner.restore(p)",
        "AutoModelForCausalLM.from_pretrained(x, trust_remote_code=False, local_files_only=True)",
    ],
)  # fmt: skip
def test_the_scan_sees_what_it_looks_for(line: str):
    assert list(offences(line))


def test_the_yaml_loader_is_a_safe_one():
    import yaml

    from beliefmod.user_files.yaml_file import _Loader

    assert issubclass(_Loader, yaml.SafeLoader)
    own = set(_Loader.yaml_constructors) - set(yaml.SafeLoader.yaml_constructors)
    assert not own and not set(_Loader.yaml_multi_constructors) - set(yaml.SafeLoader.yaml_multi_constructors)


@pytest.mark.parametrize(
    "value",
    [
        "!!python/object/apply:os.system [touch {marker}]",
        "!!python/object/new:os.system [touch {marker}]",
        "!!python/name:os.system",
        "!!python/module:os",
    ],
)
def test_yaml_makes_no_objects(value: str, tmp_path: Path):
    marker = tmp_path / "ran"
    text = value.format(marker=marker)
    with pytest.raises(UserError, match="is not valid YAML"):
        parse_yaml(f"name: {text}\n", "s.yaml")
    with pytest.raises(ValueError, match="is not a YAML value"):
        parse_value(text)
    space = tmp_path / "s.yaml"
    space.write_text(f"name: s\nbeliefs: [gravity]\nfixed: {{learning_rate: {text}}}\n")
    done = CliRunner().invoke(app, ["validate", str(space)])
    assert done.exit_code == 2 and "s.yaml" in done.output
    assert not marker.exists()


@pytest.mark.parametrize(
    "expression",
    [
        "__import__('os').system('true')", "().__class__.__bases__[0]", "belief.__class__", "open('x')",
        "(lambda: 1)()", "[1][0]", "f'{belief}'", "9 ** 9 ** 9 ** 9", "sqrt.__self__", "belief if 1 else 0",
    ],
)  # fmt: skip
def test_expressions_are_arithmetic_only(expression: str):
    with pytest.raises(ValueError, match=r"not allowed|not arithmetic|too large|neither"):
        evaluate(expression, {"belief": 5.0})


@pytest.mark.parametrize("name", ["../x", "a/b", "/etc/x", "x\n", "..", "a\\b", "x.y", ""])
def test_a_belief_cannot_name_a_path(name: str, tmp_path: Path):
    path = tmp_path / "belief.yaml"
    path.write_text(json.dumps({**SMALL_BELIEF, "name": name}))
    done = CliRunner().invoke(app, ["beliefs", "validate", str(path)])
    assert done.exit_code == 2 and "name" in done.output, done.output
    if name:
        made = CliRunner().invoke(app, ["beliefs", "new", "--", name])
        assert made.exit_code == 2 and "cannot name a belief" in made.output


@pytest.mark.parametrize("name", ["../x", "a/b", "/etc/x", "x\n", ".."])
def test_a_space_cannot_name_a_path(name: str, tmp_path: Path):
    path = tmp_path / "space.yaml"
    path.write_text(json.dumps({"name": name, "beliefs": ["gravity"]}))
    done = CliRunner().invoke(app, ["validate", str(path)])
    assert done.exit_code == 2 and "name" in done.output, done.output


@pytest.mark.parametrize("part", ["../out", "a/../../out", "/out", ".."])
def test_a_trials_name_cannot_leave_the_run_folder(part: str, folder: RunFolder, tmp_path: Path):
    for action in (
        lambda: folder.write_json({}, "rows", part),
        lambda: folder.write_bytes(b"", part),
        lambda: folder.read_bytes("adapters", part),
        lambda: folder.delete("rows", part),
        lambda: folder.store_adapter(lambda path: path.mkdir(), part),
        lambda: folder.write_trial({"trial_id": part}),
    ):
        with pytest.raises(UserError, match="leads out of the run folder"):
            action()
    assert not (tmp_path / "out").exists()


def test_a_row_that_names_another_trial_is_no_row(folder: RunFolder):
    (Path(folder.path("rows"))).mkdir()
    Path(folder.path("rows", "a.json")).write_text(json.dumps({"trial_id": "../../b", "status": "finished"}))
    assert folder.rows() == []


class Bomb:
    """What a pickle from a stranger does: something, as soon as it is read."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.marker,))


@pytest.fixture
def stranger(tmp_path: Path) -> tuple[Path, Path]:
    """The bundled model with everything that would run if trusted, and the file that it would make."""
    from beliefmod.bundled import weights_dir

    folder, marker = tmp_path / "stranger", tmp_path / "ran"
    shutil.copytree(weights_dir(), folder)
    code = f"from pathlib import Path\nPath({str(marker)!r}).touch()\nclass Own: pass\n"
    for name in ("modeling_own.py", "tokenization_own.py", "configuration_own.py"):
        (folder / name).write_text(code)
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb(marker)))
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {
        "AutoConfig": "configuration_own.Own",
        "AutoModelForCausalLM": "modeling_own.Own",
    }
    (folder / "config.json").write_text(json.dumps(config))
    named = folder / "tokenizer_config.json"
    tokenizer = json.loads(named.read_text()) if named.exists() else {}
    tokenizer["auto_map"] = {"AutoTokenizer": ["tokenization_own.Own", "tokenization_own.Own"]}
    named.write_text(json.dumps(tokenizer))
    return folder, marker


def test_the_bomb_goes_off_when_trusted(tmp_path: Path):
    pickle.loads(pickle.dumps(Bomb(tmp_path / "ran")))
    assert (tmp_path / "ran").exists()


def test_a_models_own_code_and_pickles_are_left_alone(stranger: tuple[Path, Path]):
    from beliefmod.model.load import load_model

    folder, marker = stranger
    loaded = load_model(str(folder), base_storage="none", device="cpu")
    assert type(loaded.model).__module__.startswith("transformers.")
    assert type(loaded.tokenizer).__module__.startswith("transformers.")
    assert not marker.exists()


def test_a_model_of_pickles_only_is_refused(stranger: tuple[Path, Path]):
    from beliefmod.model.load import load_model

    folder, marker = stranger
    for path in folder.glob("*.safetensors"):
        path.unlink()
    with pytest.raises(UserError, match="pickled weights are never read"):
        load_model(str(folder))
    assert not marker.exists()


def test_a_model_that_only_its_own_code_can_load_is_refused(stranger: tuple[Path, Path]):
    from beliefmod.model.load import load_model

    folder, marker = stranger
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "its_own"}))
    with pytest.raises(UserError, match="never run"):
        load_model(str(folder))
    assert not marker.exists()


@pytest.mark.parametrize(
    "name", ["pytorch_model.bin", "model.pt", "x.pkl", "modeling_own.py", "a.ckpt", "a.so"]
)
def test_the_hub_is_not_even_asked_for_code_and_pickles(name: str):
    from beliefmod.model.hub import _WANTED

    assert not any(fnmatch.fnmatch(name, pattern) for pattern in _WANTED)


def test_a_chat_template_runs_in_a_sandbox(tmp_path: Path):
    from jinja2.exceptions import SecurityError

    from beliefmod.bundled import weights_dir
    from beliefmod.model.load import load_tokenizer
    from beliefmod.model.model_files import ModelSource
    from beliefmod.model.template import prompt_text

    tokenizer = load_tokenizer(ModelSource("bundled", Path(weights_dir())))
    marker = tmp_path / "ran"
    tokenizer.chat_template = (
        "{{ ''.__class__.__mro__[1].__subclasses__() }}{{ cycler.__init__.__globals__.os.system('touch "
        f"{marker}') }}}}"
    )
    with pytest.raises(SecurityError):
        prompt_text(tokenizer, "question")
    assert not marker.exists()


def test_an_adapter_with_pickled_weights_is_refused(tmp_path: Path):
    from beliefmod.model.adapter_files import CONFIG_FILE, WEIGHTS_FILE, read_adapter

    marker = tmp_path / "ran"
    (tmp_path / CONFIG_FILE).write_text(json.dumps({"peft_type": "LORA", "r": 4, "lora_alpha": 8}))
    (tmp_path / "adapter_model.bin").write_bytes(pickle.dumps(Bomb(marker)))
    with pytest.raises(UserError, match="is not an adapter in PEFT's format"):
        read_adapter(tmp_path)
    (tmp_path / WEIGHTS_FILE).write_bytes(pickle.dumps(Bomb(marker)))
    with pytest.raises(UserError, match="is not an adapter in PEFT's format"):
        read_adapter(tmp_path)
    assert not marker.exists()


def test_the_report_shows_what_a_model_wrote_and_runs_none_of_it():
    """Completions are anybody's words. `tests/analysis/report/test_page.py` looks at whole pages."""
    from analysis.report.page import embedded_json

    assert "</script" not in embedded_json({"completion": "</script><script>alert(1)</script>"})


def test_security_md_names_what_it_must():
    text = (ROOT / "SECURITY.md").read_text()
    for word in (
        "ShadowRay",
        "CVE-2023-48022",
        "RAY_AUTH_MODE",
        "safetensors",
        "trust_remote_code",
        "Report",
    ):
        assert word in text
