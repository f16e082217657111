"""Does distillation earn its place: students against labels alone, each loss, one process against two."""
