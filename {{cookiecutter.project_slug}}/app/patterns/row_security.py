"""Row security: PostgreSQL itself hands out only the rows of the caller, whatever SQL it is sent.

Threat: a handler builds SQL from input, or forgets a condition in raw SQL, and reads or changes what belongs to
somebody else. Scoping in the ORM does not see raw SQL.

What it does: each protected table gets a policy, forced on its owner too, that compares the row with the caller of the
transaction. Who the caller is, the service says in settings that end with the transaction. SQL that was smuggled in
could set them as well; so they are signed. The key lies in a table that only the owner of the database reads, and a
function with the owner's rights checks the signature. Without a valid one there is no caller, and without a caller no
row.

* ``own``: rows of the caller; ``tenant``: rows of its tenant; ``all``: every row; ``service``: the service's own work;
  ``none``: an unknown caller, who has no rows.
* A new row has to carry the caller's name and tenant, whatever it may see. Nobody may change them afterwards: the
  serving role has no right to update these columns.
* The serving role owns nothing, so it can neither switch a policy off nor drop a table, make a function or read the
key. Nor may it make temporary tables: one of the name of a real table would be taken for it by whoever gets the
connection next, and a trigger on it would run as whoever writes, the service included.

What it does not do: hide that a row exists from a foreign key that points at it, or from a unique constraint; bind a
superuser, or a role with BYPASSRLS: :func:`service_role_problems` finds these. A proof of who calls has no end of its
own: whoever has seen one may send it again until the key is changed, so no statement is logged with its parameters.

Costs: one statement when a transaction begins; the function runs once a statement and field, not once a row.

To lift it: needs ``sqlalchemy``. In a migration run :func:`install_statements` and :func:`enable_statements`; as the
owner :func:`set_key` and :func:`grant`; at the beginning of each transaction the statement of
:class:`CallerProof`.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import TYPE_CHECKING, Final

from sqlalchemy import text

if TYPE_CHECKING:
    from sqlalchemy import Connection, TextClause

SCHEMA: Final = "breakwater"
"""Where the key and the function lie; also the prefix of the settings."""

OWNED: Final = (
    f"(SELECT {SCHEMA}.caller('reach')) IN ('all', 'service')"
    f" OR (tenant_id = (SELECT {SCHEMA}.caller('tenant'))"
    f" AND ((SELECT {SCHEMA}.caller('reach')) = 'tenant'"
    f" OR ((SELECT {SCHEMA}.caller('reach')) = 'own' AND owner_id = (SELECT {SCHEMA}.caller('subject')))))"
)
"""Which rows with an owner and a tenant the caller sees. Each field is a subselect: it is asked once a statement."""

STAMPED: Final = (
    f"(SELECT {SCHEMA}.caller('reach')) = 'service'"
    f" OR ((SELECT {SCHEMA}.caller('reach')) IN ('own', 'tenant', 'all')"
    f" AND owner_id = (SELECT {SCHEMA}.caller('subject')) AND tenant_id = (SELECT {SCHEMA}.caller('tenant')))"
)
"""Which rows the caller may insert: its own."""

PRINCIPAL: Final = (
    f"(SELECT {SCHEMA}.caller('reach')) = 'service'"
    f" OR principal = (SELECT length({SCHEMA}.caller('subject')) || ':' || {SCHEMA}.caller('subject')"
    f" || {SCHEMA}.caller('tenant'))"
)
"""Which rows with a principal the caller sees, and may write: see :func:`principal`."""

SERVICE: Final = f"(SELECT {SCHEMA}.caller('reach')) = 'service'"
"""Which rows are the service's own: no caller sees or writes them."""

_BLOCK: Final = 64  # bytes of SHA-256's block (FIPS 180-4), which is what RFC 2104 pads a key to
_NAME: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}")


def principal(subject: str, tenant: str) -> str:
    """Return one name for a caller of a tenant, such that no two callers share it."""
    return f"{len(subject)}:{subject}{tenant}"


class CallerProof:
    """Introduces callers to the database.

    Args:
        key: signs; the owner of the database has given it the same one (:func:`set_key`).

    Raises:
        ValueError: the key is empty.
    """

    def __init__(self, key: bytes) -> None:
        if not key:
            raise ValueError("the key that signs callers is empty")
        self._key = key

    def statement(
        self, *, subject: str, tenant: str, reach: str, statement_timeout_ms: int, read_only: bool
    ) -> tuple[TextClause, dict[str, str]]:
        """Return the one statement, with its values, that says when a transaction begins who asks, and how long.

        Args:
            subject: the caller.
            tenant: its tenant, ``""`` for none.
            reach: ``none``, ``own``, ``tenant``, ``all`` or ``service``.
            statement_timeout_ms: for each statement that follows; 0 for no bound.
            read_only: refuse every write.
        """
        return _BEGIN, {
            "subject": subject,
            "tenant": tenant,
            "reach": reach,
            "proof": self.proof(subject=subject, tenant=tenant, reach=reach),
            "timeout": str(statement_timeout_ms),
            "read_only": "on" if read_only else "off",
        }

    def reach(self, reach: str) -> tuple[TextClause, dict[str, str]]:
        """Return the statement that has nobody ask from now on, with a reach, for the rest of the transaction."""
        return _REACH, {"reach": reach, "proof": self.proof(subject="", tenant="", reach=reach)}

    def session_statement(self, reach: str) -> tuple[str, dict[str, str]]:
        """Return what does the same for as long as a connection lasts, for a driver with ``%(name)s`` parameters.

        For connections that only the service itself uses: nothing takes it back.
        """
        return _SESSION, {"reach": reach, "proof": self.proof(subject="", tenant="", reach=reach)}

    def proof(self, *, subject: str, tenant: str, reach: str) -> str:
        """Return the HMAC-SHA256 (RFC 2104) of the caller, in hexadecimal."""
        return hmac.digest(self._key, _message(subject, tenant, reach), "sha256").hex()


def _message(subject: str, tenant: str, reach: str) -> bytes:
    """Return what is signed; each part but the last is preceded by its length, so that no border can be moved."""
    return f"{len(subject)}:{subject}{len(tenant)}:{tenant}{reach}".encode()


_BEGIN: Final = text(
    f"SELECT set_config('{SCHEMA}.subject', :subject, true), set_config('{SCHEMA}.tenant', :tenant, true),"
    f" set_config('{SCHEMA}.reach', :reach, true), set_config('{SCHEMA}.proof', :proof, true),"
    " set_config('statement_timeout', :timeout, true), set_config('transaction_read_only', :read_only, true)"
)


_REACH: Final = text(
    f"SELECT set_config('{SCHEMA}.subject', '', true), set_config('{SCHEMA}.tenant', '', true),"
    f" set_config('{SCHEMA}.reach', :reach, true), set_config('{SCHEMA}.proof', :proof, true)"
)
_SESSION: Final = (
    f"SELECT set_config('{SCHEMA}.subject', '', false), set_config('{SCHEMA}.tenant', '', false),"
    f" set_config('{SCHEMA}.reach', %(reach)s, false), set_config('{SCHEMA}.proof', %(proof)s, false)"
)


def install_statements() -> list[str]:
    """Return what makes the place of the key and the function that checks callers; run it as the owner.

    The key is kept as the two pads of RFC 2104, because SQL has SHA-256 but no XOR of bytes.
    """
    setting = f"coalesce(current_setting('{SCHEMA}.' || %s, true), '')"
    subject, tenant, reach, proof = (setting % f"'{name}'" for name in ("subject", "tenant", "reach", "proof"))
    message = (
        f"convert_to(length({subject}) || ':' || {subject} || length({tenant}) || ':' || {tenant} || {reach}, 'UTF8')"
    )
    return [
        f"CREATE SCHEMA {SCHEMA}",
        f"CREATE TABLE {SCHEMA}.key (inner_pad bytea NOT NULL, outer_pad bytea NOT NULL)",
        f"REVOKE ALL ON {SCHEMA}.key FROM PUBLIC",
        f"""
CREATE FUNCTION {SCHEMA}.caller(field text) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
RETURN (
    SELECT current_setting('{SCHEMA}.' || field, true)
    FROM {SCHEMA}.key
    WHERE field IN ('subject', 'tenant', 'reach')
    AND encode(sha256(outer_pad || sha256(inner_pad || {message})), 'hex') = {proof}
)""",  # noqa: S608 - made of constants
        f"REVOKE ALL ON FUNCTION {SCHEMA}.caller(text) FROM PUBLIC",
    ]


def uninstall_statements() -> list[str]:
    """Return what takes it all back; the policies that use it have to be gone."""
    return [f"DROP SCHEMA {SCHEMA} CASCADE"]


def set_key(connection: Connection, key: bytes) -> None:
    """Keep the key that signs callers where only the owner reads it.

    Args:
        connection: the owner's.
        key: any length; the same that :class:`CallerProof` has.
    """
    block = hashlib.sha256(key).digest() if len(key) > _BLOCK else key
    block = block.ljust(_BLOCK, b"\0")
    pads = {"inner": bytes(byte ^ 0x36 for byte in block), "outer": bytes(byte ^ 0x5C for byte in block)}
    connection.execute(text(f"DELETE FROM {SCHEMA}.key"))  # noqa: S608 - a constant
    connection.execute(text(f"INSERT INTO {SCHEMA}.key VALUES (:inner, :outer)"), pads)  # noqa: S608


def enable_statements(table: str, *, visible: str = OWNED, writable: str = STAMPED) -> list[str]:
    """Return what puts a table under row security.

    Args:
        table: its name, as SQL has it without quotes.
        visible: the condition of the rows that the caller reads, updates and deletes.
        writable: the condition of the rows that it inserts.

    Raises:
        ValueError: the name needs quotes; give the table a plainer one.
    """
    _check(table)
    return [
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
        f"CREATE POLICY {SCHEMA}_read ON {table} FOR SELECT USING ({visible})",
        f"CREATE POLICY {SCHEMA}_update ON {table} FOR UPDATE USING ({visible})",
        f"CREATE POLICY {SCHEMA}_delete ON {table} FOR DELETE USING ({visible})",
        f"CREATE POLICY {SCHEMA}_insert ON {table} FOR INSERT WITH CHECK ({writable})",
    ]


def disable_statements(table: str) -> list[str]:
    """Return what takes a table out of row security again."""
    _check(table)
    drop = [f"DROP POLICY {SCHEMA}_{what} ON {table}" for what in ("read", "update", "delete", "insert")]
    return [
        *drop,
        f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY",
        f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY",
    ]


def grant(connection: Connection, role: str, *, schema: str = "public") -> None:
    """Give the serving role what it needs in a schema, and nothing more: rows, not tables; owners' names only once.

    Args:
        connection: the owner's.
        role: who serves.
        schema: where the tables are. Those that are made later need another call.
    """
    quote = connection.dialect.identifier_preparer.quote
    who, where = quote(role), quote(schema)
    database = quote(str(connection.scalar(text("SELECT current_database()"))))
    tables = connection.execute(_TABLES, {"schema": schema}).all()
    for sql in (
        f"GRANT USAGE ON SCHEMA {where}, {SCHEMA} TO {who}",
        f"REVOKE CREATE ON SCHEMA {where} FROM PUBLIC",
        f"REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC, {who}",  # only a warning, if it is not the owner's
        f"REVOKE ALL ON ALL TABLES IN SCHEMA {where} FROM {who}",
        f"GRANT SELECT, INSERT, DELETE ON ALL TABLES IN SCHEMA {where} TO {who}",
        f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA {where} TO {who}",
        f"GRANT EXECUTE ON FUNCTION {SCHEMA}.caller(text) TO {who}",
    ):
        connection.exec_driver_sql(sql)
    for table in tables:
        if table.name == "alembic_version":
            connection.exec_driver_sql(f"REVOKE INSERT, DELETE ON {where}.{quote(table.name)} FROM {who}")
            continue
        columns = ", ".join(quote(name) for name in table.columns if name not in {"owner_id", "tenant_id"})
        if columns:
            connection.exec_driver_sql(f"GRANT UPDATE ({columns}) ON {where}.{quote(table.name)} TO {who}")


def service_role_problems(connection: Connection) -> list[str]:
    """Return why the role of a connection must not serve: row security would not bind it."""
    role = connection.execute(_ROLE).one()
    problems = []
    if role.rolsuper or role.rolbypassrls:
        problems.append(f"the role {role.name} is a superuser or has BYPASSRLS, so no row security binds it")
    if role.owns:
        problems.append(f"the role {role.name} owns tables (or belongs to who does), so it can switch row security off")
    if role.may_become:
        problems.append(f"the role {role.name} may make roles, and so become another")
    return [f"{problem}; serve with a role that `app migrate` has granted its rights" for problem in problems]


def temporary_table_problems(connection: Connection) -> list[str]:
    """Return why the role of a connection could put a table of its own in front of a real one."""
    found = connection.execute(_TEMPORARY).one()
    if not found.allowed:
        return []
    database = connection.dialect.identifier_preparer.quote(found.database)
    return [
        (
            f"the role {found.role} may make temporary tables, which stand before the real ones for whoever gets its "
            f"connection next; as the owner of the database: REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC"
        ),
    ]


def unprotected_tables(connection: Connection, names: list[str], *, schema: str = "public") -> list[str]:
    """Return which of these tables row security does not guard by force."""
    guarded = connection.scalars(_GUARDED, {"schema": schema}).all()
    return [name for name in names if name not in guarded]


_TABLES: Final = text(
    "SELECT c.relname AS name, array_agg(a.attname::text ORDER BY a.attnum) AS columns FROM pg_class c"
    " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
    " WHERE c.relnamespace = to_regnamespace(:schema) AND c.relkind IN ('r', 'p') GROUP BY c.relname"
)
_ROLE: Final = text(
    "SELECT rolname AS name, rolsuper, rolbypassrls, rolcreaterole AS may_become,"
    " EXISTS (SELECT FROM pg_class c WHERE c.relkind IN ('r', 'p')"
    " AND c.relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)"
    " AND pg_has_role(current_user, c.relowner, 'MEMBER')) AS owns"
    " FROM pg_roles WHERE rolname = current_user"
)
_TEMPORARY: Final = text(
    "SELECT current_user AS role, current_database() AS database,"
    " has_database_privilege(current_database(), 'TEMPORARY') AS allowed"
)
_GUARDED: Final = text(
    "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace(:schema) AND relrowsecurity"
    " AND relforcerowsecurity AND EXISTS (SELECT FROM pg_policy WHERE polrelid = pg_class.oid)"
)


def _check(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no plain name of a table: lower-case letters, digits and _")
