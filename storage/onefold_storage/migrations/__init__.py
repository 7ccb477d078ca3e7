"""The ledger's migrations (Alembic), packaged so that every role can bring its database up to date.

`HEAD` names the newest revision: a database that already has it is opened without importing Alembic.
"""

HEAD = "0003"
