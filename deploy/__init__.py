"""What installs, ships and watches the platform. Nothing of the platform imports it."""
