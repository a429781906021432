"""What is put to the model inside an inspection: stems, spellings, statements, positions of values."""
