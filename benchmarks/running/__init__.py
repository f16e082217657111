"""One run: a fresh process, its phases, the meters around it, the verdict."""
