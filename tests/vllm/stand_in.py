"""A Python whose `vllm` is small and plain, so that our side of the process can be tested in a second.

Its engine answers a prompt by counting on from its last token, plus the rank of the adapter, until an end
token or the limit. With `sampling` it counts on from the seed. A prompt of token 99 alone ends the process.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

_VLLM = """
import json, os
from pathlib import Path
from types import SimpleNamespace

__version__ = "0.0.test"

class SamplingParams(SimpleNamespace):
    pass

class EngineArgs(SimpleNamespace):
    pass

class LLMEngine:
    @classmethod
    def from_engine_args(cls, args):
        print("words of vllm that are no reply")
        if "refused" in args.model:
            raise ValueError("cannot load this model")
        made = cls()
        Path(args.model, "started.json").write_text(json.dumps({**vars(args), "env": dict(os.environ)}))
        made.model_config = SimpleNamespace(max_model_len=50)
        made.waiting, made.removed = [], []
        return made

    def add_request(self, name, prompt, params, lora_request=None):
        if params.max_tokens < 1:
            raise ValueError("max_tokens must be at least 1")
        self.waiting.append((name, prompt["prompt_token_ids"], params, lora_request))

    def has_unfinished_requests(self):
        return bool(self.waiting)

    def abort_request(self, names):
        self.waiting = [each for each in self.waiting if each[0] not in names]

    def remove_lora(self, number):
        assert number not in self.removed
        self.removed.append(number)

    def step(self):
        name, ids, params, lora = self.waiting.pop()  # the last first: answers come in another order
        if ids == [99]:
            os._exit(7)
        rank = 0 if lora is None else json.loads(Path(lora.lora_path, "adapter_config.json").read_text())["r"]
        next_id, written, reason = (params.seed or ids[-1]) + rank, [], "length"
        while len(written) < params.max_tokens:
            next_id += 1
            written.append(next_id)
            if next_id in params.stop_token_ids:
                reason = "stop"
                break
        answer = SimpleNamespace(token_ids=written, finish_reason=reason)
        return [SimpleNamespace(finished=True, request_id=name, outputs=[answer])]
"""
_REGISTRY = """
class Known:
    def __init__(self, kind):
        self.kind = kind

    def load_model_cls(self):
        return self.kind

class ModelRegistry:
    models = {"Qwen3ForCausalLM": Known("with adapters"), "Other": Known("plain")}

    @classmethod
    def get_supported_archs(cls):
        return cls.models.keys()
"""
_INTERFACES = "def supports_lora(kind):\n    return kind == 'with adapters'\n"
_FILES = {
    "vllm/__init__.py": _VLLM,
    "vllm/lora/__init__.py": "",
    "vllm/lora/request.py": "from collections import namedtuple\n"
    "LoRARequest = namedtuple('LoRARequest', 'name number lora_path')\n",
    "vllm/sampling_params.py": "class RequestOutputKind:\n    FINAL_ONLY = 2\n",
    "vllm/model_executor/__init__.py": "",
    "vllm/model_executor/models/__init__.py": "",
    "vllm/model_executor/models/interfaces.py": _INTERFACES,
    "vllm/model_executor/models/registry.py": _REGISTRY,
}


def python_with_vllm(folder: Path) -> Path:
    """Such a Python, made in a folder."""
    for name, text in _FILES.items():
        path = folder / "packages" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    python = folder / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH={folder / "packages"} exec {sys.executable} "$@"\n')
    os.chmod(python, 0o755)
    return python
