"""A belief of one's own: drafted by template or by a language model, and checked question by question."""
