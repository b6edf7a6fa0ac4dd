"""Find the heaviest images of a job.

Revision ID: 0018
Create Date: 2026-11-29 09:30:00

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '0018'
down_revision = '0017'
branch_labels = None
depends_on = None

COMPRESSED = sa.text("status = 'COMPLETED'")
INDEXES = {
    'ix_compressed_images_request_id_input_bytes_ordinal': 'input_bytes',
    'ix_compressed_images_request_id_saved_ordinal': '(input_bytes - output_bytes)',
}


def upgrade():
    # Workers go on writing to a large table meanwhile. A build that was interrupted begins anew.
    with op.get_context().autocommit_block():
        for name, measure in INDEXES.items():
            op.drop_index(op.f(name), table_name='compressed_images', if_exists=True)
            op.create_index(op.f(name), 'compressed_images', ['request_id', sa.text(measure), 'ordinal'], unique=False, postgresql_where=COMPRESSED, sqlite_where=COMPRESSED, postgresql_concurrently=True)


def downgrade():
    for name in INDEXES:
        op.drop_index(op.f(name), table_name='compressed_images')
