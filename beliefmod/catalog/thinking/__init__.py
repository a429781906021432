"""The adapter that teaches SmolLM2-135M-Instruct to think: its corpus, its training and its evaluation."""
