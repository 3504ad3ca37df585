"""What PROVENANCE-V1 stands on: judging a verified manifest (`manifest`), collecting unsigned text (`claims`)."""
