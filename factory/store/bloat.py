"""An estimate, from statistics alone, of the space that tables and b-trees take beyond what their rows need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from factory.store.database import Tx, rows

# A table's row has a header of 24 bytes, an index entry one of 8; both have a pointer of 4 bytes in their page, and
# are padded to 8. What a table's `fillfactor` leaves free is needed. https://www.postgresql.org/docs/current/storage-page-layout.html
SIZES = """
WITH keys AS (
    SELECT i.indexrelid AS relation, 8 AS head, a.attrelid, a.attname
      FROM pg_index i CROSS JOIN unnest(i.indkey) WITH ORDINALITY AS k(attnum, place)
      JOIN pg_attribute a
        ON a.attrelid = CASE WHEN k.attnum = 0 THEN i.indexrelid ELSE i.indrelid END
       AND a.attnum = CASE WHEN k.attnum = 0 THEN k.place ELSE k.attnum END
    UNION ALL
    SELECT attrelid, 24, attrelid, attname FROM pg_attribute WHERE attnum > 0 AND NOT attisdropped
), rows AS (
    SELECT k.relation, k.head + 4 + ceil(sum((1 - s.null_frac) * s.avg_width) / 8) * 8 AS bytes
      FROM keys k JOIN pg_class c ON c.oid = k.attrelid
      LEFT JOIN pg_stats s ON s.schemaname = c.relnamespace::regnamespace::text
       AND s.tablename = c.relname AND s.attname = k.attname AND NOT s.inherited
     GROUP BY k.relation, k.head HAVING bool_and(s.attname IS NOT NULL)
)
SELECT c.oid::regclass::text AS name, c.relkind = 'i' AS is_index, pg_relation_size(c.oid) AS bytes,
       (c.reltuples * r.bytes / 0.9 / coalesce(f.part, 1))::bigint AS needed_bytes
  FROM pg_class c JOIN rows r ON r.relation = c.oid LEFT JOIN pg_am m ON m.oid = c.relam
  LEFT JOIN LATERAL (SELECT option_value::float8 / 100 AS part FROM pg_options_to_table(c.reloptions)
                      WHERE option_name = 'fillfactor' AND c.relkind = 'r') f ON true
 WHERE c.relnamespace = current_schema()::regnamespace AND c.reltuples >= 0
   AND (c.relkind = 'r' OR c.relkind = 'i' AND m.amname = 'btree')
"""


@dataclass(frozen=True, slots=True)
class Size:
    """A table or an index, and how much of it is empty or dead."""

    name: str
    is_index: bool
    bytes: int
    needed_bytes: int

    @property
    def wasted_bytes(self) -> int:
        return max(0, self.bytes - self.needed_bytes)


def sizes(tx: Tx) -> Sequence[Size]:
    """All that have statistics."""
    found = rows(tx, SIZES)
    return [Size(row.name, row.is_index, row.bytes, row.needed_bytes) for row in found]
