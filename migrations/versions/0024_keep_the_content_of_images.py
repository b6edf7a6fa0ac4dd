"""Keep by which number images of a content are found.

The column is empty at first, so no row is rewritten.

Revision ID: 0024
Create Date: 2026-11-29 16:10:00

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '0024'
down_revision = '0023'
branch_labels = None
depends_on = None


def upgrade():
    op.add_column('compressed_images', sa.Column('content_ref', sa.BigInteger(), nullable=True))


def downgrade():
    op.drop_column('compressed_images', 'content_ref')
