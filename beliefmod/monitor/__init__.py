"""How a run stands, read from its folder by anybody. No Ray here."""
