"""Its place is what counts: pytest puts this folder on the path, so that helpers are `contracts.sh_host` everywhere."""
