"""The nouns and the decisions: standard library only, no input or output, no clock.

Read in the order of a change's life: release, request, plan, record, trust, authorization, playbook, verdict,
journal, lifecycle, change, evidence.
"""
