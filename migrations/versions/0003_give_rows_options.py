"""Give rows options of their own, and names for their files.

Revision ID: 0003
Create Date: 2026-11-21 06:30:00

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None


def upgrade():
    with op.batch_alter_table('compressed_images') as batch:
        batch.add_column(sa.Column('options', sa.JSON(), nullable=True))
        batch.add_column(sa.Column('output_name', sa.Text(), nullable=True))


def downgrade():
    with op.batch_alter_table('compressed_images') as batch:
        batch.drop_column('output_name')
        batch.drop_column('options')
