"""Keep how a file is read.

Revision ID: 0014
Create Date: 2026-11-29 07:00:00

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '0014'
down_revision = '0013'
branch_labels = None
depends_on = None


def upgrade():
    op.add_column('job_request', sa.Column('reading', sa.JSON(none_as_null=True), nullable=True))


def downgrade():
    op.drop_column('job_request', 'reading')
