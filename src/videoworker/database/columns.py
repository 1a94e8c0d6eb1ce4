"""Columns that tables of several services have."""

from sqlalchemy import BigInteger, Integer

NUMBER = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows only if the key's type is INTEGER
