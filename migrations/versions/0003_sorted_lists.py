"""Indexes for lists sorted by file name and by size"""

import sqlalchemy as sa
from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels = None
depends_on = None

_LIVE = sa.text("deleted_at IS NULL")


def upgrade() -> None:
    op.create_index("ix_media_user_id_filename", "media", ["user_id", "filename", "id"], postgresql_where=_LIVE)
    op.create_index("ix_media_user_id_size", "media", ["user_id", "size", "id"], postgresql_where=_LIVE)


def downgrade() -> None:
    op.drop_index("ix_media_user_id_size", table_name="media", postgresql_where=_LIVE)
    op.drop_index("ix_media_user_id_filename", table_name="media", postgresql_where=_LIVE)
