"""What keeps the platform going: finds lost jobs, archives ended ones, maintains Postgres. Runs in the dispatcher;
maintenance and decisions after a restore are commands.
"""
