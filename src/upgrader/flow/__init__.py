"""The verbs, one file each, in the order in which they happen in a change's life.

stage · test_release · request · plan · sign · authorize · apply · roll_back · soak · accept · close · verify_evidence;
beside them initialise (a new site), trust (whom it trusts) and doctor (is all ready).
"""
