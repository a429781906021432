"""The parts of an inspection: lens, ablation, patching, doses, channels, chain, truth."""
