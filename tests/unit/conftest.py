"""How hard hypothesis tries here. A busy machine is no failure, hence no deadline."""

from hypothesis import HealthCheck, settings

settings.register_profile("unit", max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unit")
