"""The section "Inside the model": what lens tables show, in words, tables and charts."""
