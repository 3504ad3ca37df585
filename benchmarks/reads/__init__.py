"""The reading benchmark: answers of the api beside the bare queries that they are made of, over many rows.

`rows` fills a database; `asks` measures one request; `run` tells it and judges.
"""
