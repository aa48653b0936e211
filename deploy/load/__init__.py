"""How fast the gateway answers under load, against the targets: `make load`."""
