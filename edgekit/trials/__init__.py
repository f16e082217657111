"""Try one candidate: in a child process, or in this one behind a mark that a crash leaves."""
