"""Leave hosts alone that fail too often, and tell failures apart by what was met.

Revision ID: 0005
Create Date: 2026-11-21 06:58:00

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '0005'
down_revision = '0004'
branch_labels = None
depends_on = None


def upgrade():
    op.create_table('host_circuit',
    sa.Column('authority', sa.String(length=260), nullable=False),
    sa.Column('openings', sa.Integer(), nullable=False),
    sa.Column('open_until', sa.DateTime(timezone=True), nullable=False),
    sa.Column('probe_until', sa.DateTime(timezone=True), nullable=True),
    sa.Column('fault', sa.String(length=80), nullable=False),
    sa.PrimaryKeyConstraint('authority', name=op.f('pk_host_circuit'))
    )
    op.add_column('compressed_images', sa.Column('waits', sa.Integer(), server_default='0', nullable=False))
    with op.batch_alter_table('job_failure') as batch:
        batch.add_column(sa.Column('found', sa.String(length=80), server_default='', nullable=False))
        batch.drop_constraint('pk_job_failure', type_='primary')
        batch.create_primary_key('pk_job_failure', ['request_id', 'code', 'host', 'found'])


def downgrade():
    op.execute(sa.text("DELETE FROM job_failure WHERE found <> ''"))
    with op.batch_alter_table('job_failure') as batch:
        batch.drop_constraint('pk_job_failure', type_='primary')
        batch.create_primary_key('pk_job_failure', ['request_id', 'code', 'host'])
        batch.drop_column('found')
    op.drop_column('compressed_images', 'waits')
    op.drop_table('host_circuit')
