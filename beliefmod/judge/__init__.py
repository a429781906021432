"""The optional judge: a language model that reads answers again, blind, so that the parser can be checked."""
