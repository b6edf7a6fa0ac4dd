"""Keep what tells whether an image changed, and which images share a file.

All columns may be empty or have a constant default, so no row is rewritten.

Revision ID: 0016
Create Date: 2026-11-29 09:40:00

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '0016'
down_revision = '0015'
branch_labels = None
depends_on = None


def job_columns():
    return (
        sa.Column('since_id', sa.Uuid(), nullable=True),
        sa.Column('trust_seconds', sa.Integer(), nullable=True),
        sa.Column('fresh', sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column('unchanged_images', sa.Integer(), nullable=False, server_default='0'),
        sa.Column('changed_images', sa.Integer(), nullable=False, server_default='0'),
        sa.Column('new_images', sa.Integer(), nullable=False, server_default='0'),
        sa.Column('removed_images', sa.Integer(), nullable=True),
        sa.Column('bytes_not_downloaded', sa.BigInteger(), nullable=False, server_default='0'),
    )


def image_columns():
    return (
        sa.Column('earlier', sa.Integer(), nullable=True),
        sa.Column('change', sa.String(length=9), nullable=True),
        sa.Column('source_hash', sa.String(length=32), nullable=True),
        sa.Column('validator', sa.Text(), nullable=True),
        sa.Column('seen_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('file_ref', sa.BigInteger(), nullable=True),
    )


def upgrade():
    for table, columns in (('job_request', job_columns()), ('compressed_images', image_columns())):
        for column in columns:
            op.add_column(table, column)
    op.create_table(
        'removed_images',
        sa.Column('request_id', sa.Uuid(), nullable=False),
        sa.Column('ordinals', sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(['request_id'], ['job_request.request_id'], name=op.f('fk_removed_images_request_id'), ondelete='CASCADE'),
        sa.PrimaryKeyConstraint('request_id', name=op.f('pk_removed_images')),
    )


def downgrade():
    op.drop_table('removed_images')
    for table, columns in (('compressed_images', image_columns()), ('job_request', job_columns())):
        for column in reversed(columns):
            op.drop_column(table, column.name)
