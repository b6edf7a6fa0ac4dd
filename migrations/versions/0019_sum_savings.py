"""Sum what jobs save, by owner and day.

Revision ID: 0019
Create Date: 2026-11-29 10:05:00

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '0019'
down_revision = '0018'
branch_labels = None
depends_on = None


def upgrade():
    op.add_column('job_request', sa.Column('counted', sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_table(
        'daily_savings',
        sa.Column('owner', sa.String(length=64), nullable=False),
        sa.Column('day', sa.Date(), nullable=False),
        sa.Column('jobs', sa.Integer(), nullable=False),
        sa.Column('images', sa.BigInteger(), nullable=False),
        sa.Column('failed_images', sa.BigInteger(), nullable=False),
        sa.Column('unchanged_images', sa.BigInteger(), nullable=False),
        sa.Column('input_bytes', sa.BigInteger(), nullable=False),
        sa.Column('output_bytes', sa.BigInteger(), nullable=False),
        sa.Column('bytes_not_downloaded', sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint('owner', 'day', name=op.f('pk_daily_savings')),
    )
    op.create_table(
        'daily_failures',
        sa.Column('owner', sa.String(length=64), nullable=False),
        sa.Column('day', sa.Date(), nullable=False),
        sa.Column('code', sa.String(length=32), nullable=False),
        sa.Column('images', sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint('owner', 'day', 'code', name=op.f('pk_daily_failures')),
    )


def downgrade():
    op.drop_table('daily_failures')
    op.drop_table('daily_savings')
    op.drop_column('job_request', 'counted')
