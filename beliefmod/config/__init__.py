"""What one trial is: the only place where a setting and its default are written.

Everything here is frozen, turns into JSON and back unchanged, and is light to import.
"""

from beliefmod.config.data_config import FRAMINGS, DataConfig, DataStyle, Framing
from beliefmod.config.dotted_names import flatten, unflatten
from beliefmod.config.frozen import Frozen
from beliefmod.config.lists_in_rows import LISTS, read_back, written
from beliefmod.config.lora_settings import LoraSettings
from beliefmod.config.objective_config import (
    OF_OBJECTIVE,
    ObjectiveConfig,
    own_answer_values,
    reward_parts,
    step_values,
)
from beliefmod.config.pinned_names import PINNED, pinned_rank, short_name, split_name
from beliefmod.config.template_switches import SWITCH_NAME, switches_text, switches_words
from beliefmod.config.trial_config import (
    ADAPTER_ARMS,
    EXAMPLE_ARMS,
    NO_TRAINING_ARMS,
    NO_TRAINING_SETTINGS,
    REFERENCE_ARMS,
    TRAINED_ARMS,
    Arm,
    TrialConfig,
    later_settings,
    leaf_fields,
)
from beliefmod.config.untrained_settings import AdapterSettings, ContextSettings, SteeringSettings

__all__ = [
    "ADAPTER_ARMS",
    "EXAMPLE_ARMS",
    "FRAMINGS",
    "LISTS",
    "NO_TRAINING_ARMS",
    "NO_TRAINING_SETTINGS",
    "OF_OBJECTIVE",
    "PINNED",
    "REFERENCE_ARMS",
    "SWITCH_NAME",
    "TRAINED_ARMS",
    "AdapterSettings",
    "Arm",
    "ContextSettings",
    "DataConfig",
    "DataStyle",
    "Framing",
    "Frozen",
    "LoraSettings",
    "ObjectiveConfig",
    "SteeringSettings",
    "TrialConfig",
    "flatten",
    "later_settings",
    "leaf_fields",
    "own_answer_values",
    "pinned_rank",
    "read_back",
    "reward_parts",
    "short_name",
    "split_name",
    "step_values",
    "switches_text",
    "switches_words",
    "unflatten",
    "written",
]
