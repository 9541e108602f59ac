"""History: what was observed, warned of and reported, kept and asked for."""
