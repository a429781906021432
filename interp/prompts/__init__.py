"""What is put to the model inside an inspection: stems, contrasts, spellings, statements."""
