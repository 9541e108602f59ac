"""History: what was observed and warned of, kept and asked for."""
