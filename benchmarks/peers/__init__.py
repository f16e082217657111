"""edgekit beside its peers on a workstation; alone in `benchmarks` to need the converters and the peers' packages."""
