"""Git: a person's clone, the gate's mirror, and trees that are written out of either."""
