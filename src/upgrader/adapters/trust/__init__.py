"""Trust: signatures, the trust files, and the site's secrets."""
