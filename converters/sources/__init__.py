"""One file per kind of source; each has ``load(spec, options) -> SourceModel`` and is found by entry point."""
