"""The only room that knows the quirks of bitsandbytes, transformers and PEFT's file format."""
