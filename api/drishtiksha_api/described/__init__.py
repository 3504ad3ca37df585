"""The answers of the api as schemas: what `/openapi.json` says of each route. Loaded when somebody asks for the document.

`shapes/` makes the answers; a test reads real ones by these models, in which no key may be missing or unknown.
"""
