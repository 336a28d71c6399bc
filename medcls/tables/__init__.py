"""Tables that users give: one strict reader for all of them, and what their cells may mean."""

from medcls.tables.table import Table as Table
from medcls.tables.table import read_table as read_table
