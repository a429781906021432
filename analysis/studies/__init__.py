"""Questions put to a whole run: effects of settings, doses, hypotheses, published shapes, confirmation."""
