"""See whether a slice made progress under its lease.

Revision ID: 0011
Create Date: 2026-11-29 06:00:00

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '0011'
down_revision = '0010'
branch_labels = None
depends_on = None


def upgrade():
    op.add_column('job_slice', sa.Column('progressed', sa.Boolean(), server_default=sa.false(), nullable=False))


def downgrade():
    op.drop_column('job_slice', 'progressed')
