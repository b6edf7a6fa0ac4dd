"""Find the images that share a file.

The index is empty at first. On Postgres it is built while others write; one that an interrupted
migration left unfinished is built again.

Revision ID: 0017
Create Date: 2026-11-29 09:41:00

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '0017'
down_revision = '0016'
branch_labels = None
depends_on = None

INDEX = 'ix_compressed_images_file_ref'
SHARES = sa.text('file_ref IS NOT NULL')


def upgrade():
    with op.get_context().autocommit_block():
        op.drop_index(op.f(INDEX), 'compressed_images', if_exists=True, postgresql_concurrently=True)
        op.create_index(op.f(INDEX), 'compressed_images', ['file_ref'], unique=False, postgresql_where=SHARES, sqlite_where=SHARES, postgresql_concurrently=True)


def downgrade():
    op.drop_index(op.f(INDEX), 'compressed_images')
