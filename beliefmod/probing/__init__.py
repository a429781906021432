"""Questions put to arms: session, probes, causal tests, drift, and the answers that are kept."""
