"""Training objectives: the terms that a trial's loss is the sum of. To add one, write it and list it here."""

from beliefmod.engine.objectives.dpo import Dpo
from beliefmod.engine.objectives.grpo import Grpo
from beliefmod.engine.objectives.kl_to_base import KlToBase
from beliefmod.engine.objectives.objective import Objective
from beliefmod.engine.objectives.sft import Sft

OBJECTIVES: tuple[Objective, ...] = (Sft(), Dpo(), Grpo(), KlToBase())
