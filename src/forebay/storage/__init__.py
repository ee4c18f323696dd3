"""Where the books are kept: the engine, the tables, and the migrations, the same on SQLite and PostgreSQL."""
