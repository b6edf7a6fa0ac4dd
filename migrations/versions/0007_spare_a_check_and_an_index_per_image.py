"""Spare a look at the job and an entry of an index for each image that is taken in.

A foreign key is checked row by row, which takes Postgres as long as all the rest of COPY. Images
are written in the transaction that writes their job, or under its lock, and go before it.

Revision ID: 0007
Create Date: 2026-11-21 09:42:00

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '0007'
down_revision = '0006'
branch_labels = None
depends_on = None

INDEX = 'ix_compressed_images_request_id_duplicate_of'
COLUMNS = ['request_id', 'duplicate_of']
KEY = 'fk_compressed_images_request_id'
REPEATS = sa.text('duplicate_of IS NOT NULL')


def upgrade():
    op.drop_index(INDEX, 'compressed_images')
    with op.batch_alter_table('compressed_images') as batch:
        batch.drop_constraint(KEY, type_='foreignkey')
    op.create_index(INDEX, 'compressed_images', COLUMNS, unique=False, postgresql_where=REPEATS, sqlite_where=REPEATS)


def downgrade():
    op.drop_index(INDEX, 'compressed_images')
    with op.batch_alter_table('compressed_images') as batch:
        batch.create_foreign_key(KEY, 'job_request', ['request_id'], ['request_id'], ondelete='CASCADE')
    op.create_index(INDEX, 'compressed_images', COLUMNS, unique=False)
