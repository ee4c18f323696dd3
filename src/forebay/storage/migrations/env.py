"""Alembic's way in: the connection comes from the caller, who also owns the transaction."""

from alembic import context

from forebay.storage.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=False,
)
context.run_migrations()
