"""Turn a checkpoint's own tokenizer into one ``tokenizers`` JSON that gives the same ids."""
