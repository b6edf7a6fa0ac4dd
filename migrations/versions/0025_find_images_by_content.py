"""Find the images of a content.

The index is empty at first. On Postgres it is built while others write; one that an interrupted
migration left unfinished is built again.

Revision ID: 0025
Create Date: 2026-11-29 16:11:00

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '0025'
down_revision = '0024'
branch_labels = None
depends_on = None

INDEX = 'ix_compressed_images_content_ref'
KNOWN = sa.text('content_ref IS NOT NULL')


def upgrade():
    with op.get_context().autocommit_block():
        op.drop_index(op.f(INDEX), 'compressed_images', if_exists=True, postgresql_concurrently=True)
        op.create_index(op.f(INDEX), 'compressed_images', ['content_ref'], unique=False, postgresql_where=KNOWN, sqlite_where=KNOWN, postgresql_concurrently=True)


def downgrade():
    op.drop_index(op.f(INDEX), 'compressed_images')
