"""Applying: the approved plan on hosts, wave by wave; whatever stops it; and the way back."""
