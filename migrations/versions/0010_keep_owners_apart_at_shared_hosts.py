"""Keep owners apart at the hosts that they share: of images, and of webhooks.

Revision ID: 0010
Create Date: 2026-11-22 10:00:00

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '0010'
down_revision = '0008'
branch_labels = None
depends_on = None


def upgrade():
    op.create_table('owner_circuit',
    sa.Column('owner', sa.String(length=64), nullable=False),
    sa.Column('authority', sa.String(length=260), nullable=False),
    sa.Column('openings', sa.Integer(), nullable=False),
    sa.Column('open_until', sa.DateTime(timezone=True), nullable=False),
    sa.Column('probe_until', sa.DateTime(timezone=True), nullable=True),
    sa.Column('fault', sa.String(length=80), nullable=False),
    sa.PrimaryKeyConstraint('owner', 'authority', name=op.f('pk_owner_circuit'))
    )
    op.create_index(op.f('ix_owner_circuit_open_until'), 'owner_circuit', ['open_until'], unique=False)
    op.add_column('webhook_delivery', sa.Column('owner', sa.String(length=64), nullable=True))
    op.create_index(op.f('ix_webhook_delivery_held_until'), 'webhook_delivery', ['held_until'], unique=False)
    op.add_column('receiver_circuit', sa.Column('waits_for_host', sa.Boolean(), server_default=sa.false(), nullable=False))


def downgrade():
    op.drop_column('receiver_circuit', 'waits_for_host')
    op.drop_index(op.f('ix_webhook_delivery_held_until'), 'webhook_delivery')
    op.drop_column('webhook_delivery', 'owner')
    op.drop_index(op.f('ix_owner_circuit_open_until'), 'owner_circuit')
    op.drop_table('owner_circuit')
