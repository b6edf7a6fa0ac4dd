"""Find the slices of a job that wait by an index of their own.

Revision ID: 0013
Create Date: 2026-11-29 06:50:00

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '0013'
down_revision = '0012'
branch_labels = None
depends_on = None

WAITS = sa.text("state = 'QUEUED'")


def upgrade():
    op.create_index(op.f('ix_job_slice_request_id_slice_no'), 'job_slice', ['request_id', 'slice_no'], unique=False, postgresql_where=WAITS, sqlite_where=WAITS)


def downgrade():
    op.drop_index(op.f('ix_job_slice_request_id_slice_no'), 'job_slice')
