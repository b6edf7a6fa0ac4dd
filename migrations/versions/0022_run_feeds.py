"""Keep feeds: tables that are fetched again and again, each time as a job.

Revision ID: 0022
Create Date: 2026-11-29 11:15:00

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '0022'
down_revision = '0021'
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        'feed',
        sa.Column('feed_id', sa.Uuid(), nullable=False),
        sa.Column('owner', sa.String(length=64), nullable=True),
        sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('csv_url', sa.Text(), nullable=False),
        sa.Column('every_seconds', sa.Integer(), nullable=False),
        sa.Column('options', sa.JSON(), nullable=False),
        sa.Column('reading', sa.JSON(), nullable=False),
        sa.Column('base_url', sa.Text(), nullable=False),
        sa.Column('webhook_url', sa.Text(), nullable=True),
        sa.Column('trust_seconds', sa.Integer(), nullable=True),
        sa.Column('fresh', sa.Boolean(), nullable=False),
        sa.Column('state', sa.String(length=8), nullable=False),
        sa.Column('next_run_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('attempt', sa.Integer(), nullable=False),
        sa.Column('held_until', sa.DateTime(timezone=True), nullable=True),
        sa.Column('last_run_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('last_outcome', sa.String(length=16), nullable=True),
        sa.Column('error_code', sa.String(length=32), nullable=True),
        sa.Column('error_message', sa.Text(), nullable=True),
        sa.Column('last_request_id', sa.Uuid(), nullable=True),
        sa.Column('validator', sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint('feed_id', name=op.f('pk_feed')),
    )
    op.create_index(op.f('ix_feed_state_next_run_at'), 'feed', ['state', 'next_run_at'])
    op.create_index(op.f('ix_feed_owner_created_at'), 'feed', ['owner', 'created_at'])


def downgrade():
    op.drop_table('feed')
