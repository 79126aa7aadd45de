"""The database: engine, tables, repositories, unit of work. Nothing outside of this package imports SQLAlchemy."""
