"""Remember how many images had their end before an epoch, so that its pace is that of its own work.

Revision ID: 0008
Create Date: 2026-11-21 19:30:00

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '0008'
down_revision = '0007'
branch_labels = None
depends_on = None


def upgrade():
    op.add_column('job_request', sa.Column('done_before', sa.Integer(), server_default='0', nullable=False))


def downgrade():
    op.drop_column('job_request', 'done_before')
