"""Hosts: the inventory, who is there, and Ansible."""
