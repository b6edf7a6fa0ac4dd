"""Seal the secrets of jobs.

Revision ID: 0012
Create Date: 2026-11-29 06:00:00

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '0012'
down_revision = '0011'
branch_labels = None
depends_on = None


def upgrade():
    op.add_column('job_request', sa.Column('sealed_secret', sa.Text(), nullable=True))


def downgrade():
    op.drop_column('job_request', 'sealed_secret')
