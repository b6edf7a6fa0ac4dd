"""Keep the score of images.

Revision ID: 0021
Create Date: 2026-11-29 10:10:00

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '0021'
down_revision = '0020'
branch_labels = None
depends_on = None


def upgrade():
    # Without a default, so that no row is rewritten. The similarity of earlier images stays.
    op.add_column('compressed_images', sa.Column('score', sa.Double(), nullable=True))


def downgrade():
    op.drop_column('compressed_images', 'score')
