"""Runs the migrations on the connection that ``app.database.migrations`` hands over, or on the settings' database."""

from __future__ import annotations

from alembic import context

from app.database.migrations import add_row_security, migrate, of_the_service, render_type
from app.database.schema import metadata
from app.settings import load_settings

connection = context.config.attributes.get("connection")
if connection is None:
    # `alembic upgrade head` by hand goes the way that `app migrate` goes.
    migrate(load_settings())
else:
    context.configure(
        connection=connection,
        target_metadata=metadata(),
        render_as_batch=connection.dialect.name == "sqlite",  # SQLite alters a table by making it anew
        process_revision_directives=add_row_security,
        render_item=render_type,
        include_name=of_the_service,
    )
    with context.begin_transaction():
        context.run_migrations()
