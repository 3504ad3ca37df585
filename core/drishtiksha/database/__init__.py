"""The only code that speaks SQL: tables, the engine and its transactions, and one store per noun.

Each change of state is one verb of a store: one transaction, called by one process (docs/architecture.md).
"""
