"""fastlog's own APIs, under keys that Kafka does not use: see the package definitions for the form.

They are not advertised: clients infer what a broker is from what it advertises.
"""

MODULES = {30001: "describe_retention"}
