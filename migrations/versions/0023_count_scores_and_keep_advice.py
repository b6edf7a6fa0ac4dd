"""Count the scores of a job's images, and keep what another format would save.

Revision ID: 0023
Create Date: 2026-11-29 13:40:00

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '0023'
down_revision = '0022'
branch_labels = None
depends_on = None


def upgrade():
    # Without defaults, so that no row is rewritten.
    op.add_column('compressed_images', sa.Column('advice_format', sa.String(length=8), nullable=True))
    op.add_column('compressed_images', sa.Column('advice_bytes', sa.BigInteger(), nullable=True))
    op.create_table(
        'job_score',
        sa.Column('request_id', sa.Uuid(), nullable=False),
        sa.Column('score', sa.Integer(), autoincrement=False, nullable=False),
        sa.Column('advice_format', sa.String(length=8), nullable=False),
        sa.Column('images', sa.Integer(), nullable=False),
        sa.Column('saved_bytes', sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(['request_id'], ['job_request.request_id'], name=op.f('fk_job_score_request_id'), ondelete='CASCADE'),
        sa.PrimaryKeyConstraint('request_id', 'score', 'advice_format', name=op.f('pk_job_score')),
    )


def downgrade():
    op.drop_table('job_score')
    op.drop_column('compressed_images', 'advice_bytes')
    op.drop_column('compressed_images', 'advice_format')
