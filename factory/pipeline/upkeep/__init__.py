"""What keeps the platform going: lost jobs found, ended jobs archived, Postgres maintained. Runs in the dispatcher and by cron."""
