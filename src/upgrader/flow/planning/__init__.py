"""Planning: a request, everything that it leads to decided beforehand, and the papers that show it."""
