"""What ended in a period is counted from an index alone (`/monitoring/stats/analysis`)."""

from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_analyses_finished_at",
        "analyses",
        ["finished_at"],
        postgresql_include=["model", "status", "processing_time"],
    )


def downgrade() -> None:
    op.drop_index("ix_analyses_finished_at", table_name="analyses")
