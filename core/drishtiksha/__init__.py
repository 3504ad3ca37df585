"""The ground of Drishtiksha: what the product knows (`domain`) and where it keeps it.

Every process stands on this package; it imports none of them, neither FastAPI nor Kopf.
"""

__version__ = "0.1.0"
