"""What keeps a mentioned value from counting as asserted: negation, attribution, framing, neighbours."""
