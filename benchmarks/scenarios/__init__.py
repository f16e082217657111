"""How queries arrive, one file per MLPerf scenario; the same loop whatever the work is."""
