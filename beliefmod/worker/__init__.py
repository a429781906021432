"""What runs trials on one engine: pack, queue, completion, checkpoints, log. No Ray here."""
