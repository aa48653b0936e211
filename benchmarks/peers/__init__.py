"""What people would pick instead, each with the settings that its own documentation recommends."""
