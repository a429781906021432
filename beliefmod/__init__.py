"""How far can LoRA move a reasoning model's belief before it breaks the model, and where does it live?"""

__version__ = "0.1.0"
