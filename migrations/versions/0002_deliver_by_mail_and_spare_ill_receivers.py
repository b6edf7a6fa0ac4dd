"""Deliver by mail too, keep every attempt, and spare receivers that are ill.

Revision ID: 0002
Create Date: 2026-11-21 06:28:00

"""
from urllib.parse import urlsplit

from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None

OLD_KEY = ['request_id', 'epoch', 'event']
PORTS = {'http': 80, 'https': 443}


def upgrade():
    op.add_column('job_request', sa.Column('webhook_secret', sa.String(length=128), nullable=True))
    with op.batch_alter_table('webhook_delivery') as batch:
        batch.add_column(sa.Column('channel', sa.String(length=8), nullable=False, server_default='webhook'))
        batch.add_column(sa.Column('receiver', sa.String(length=280), nullable=False, server_default=''))
        batch.add_column(sa.Column('step', sa.Integer(), nullable=False, server_default='0'))
        batch.add_column(sa.Column('held_until', sa.DateTime(timezone=True), nullable=True))
        batch.drop_constraint(op.f('uq_webhook_delivery_request_id_epoch_event'), type_='unique')
        batch.create_unique_constraint(op.f('uq_webhook_delivery_request_id_epoch_event_channel'), OLD_KEY + ['channel'])
    name_receivers(op.get_bind())
    with op.batch_alter_table('webhook_delivery') as batch:
        for column in ('channel', 'receiver', 'step'):
            batch.alter_column(column, server_default=None)
    op.drop_index(op.f('ix_webhook_delivery_state_next_attempt_at'), 'webhook_delivery')
    op.create_index(op.f('ix_webhook_delivery_state_receiver_next_attempt_at'), 'webhook_delivery', ['state', 'receiver', 'next_attempt_at'], unique=False)
    op.create_index(op.f('ix_webhook_delivery_receiver_held_until'), 'webhook_delivery', ['receiver', 'held_until'], unique=False)

    op.create_table('delivery_attempt',
    sa.Column('delivery_id', sa.String(length=40), nullable=False),
    sa.Column('attempt', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('started_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('seconds', sa.Double(), nullable=True),
    sa.Column('response_status', sa.Integer(), nullable=True),
    sa.Column('error', sa.Text(), nullable=True),
    sa.ForeignKeyConstraint(['delivery_id'], ['webhook_delivery.id'], name=op.f('fk_delivery_attempt_delivery_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('delivery_id', 'attempt', name=op.f('pk_delivery_attempt'))
    )
    op.create_table('receiver_circuit',
    sa.Column('receiver', sa.String(length=280), nullable=False),
    sa.Column('failures', sa.Integer(), nullable=False),
    sa.Column('open_until', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('receiver', name=op.f('pk_receiver_circuit'))
    )


def name_receivers(connection):
    """Write to every delivery what it is bound for: the scheme, host and port of its job's webhook."""
    urls = connection.execute(sa.text(
        'SELECT request_id, webhook_url FROM job_request WHERE webhook_url IS NOT NULL')).all()
    named = [{'request_id': request_id, 'receiver': receiver_of(url)} for request_id, url in urls]
    if named:
        connection.execute(sa.text(
            'UPDATE webhook_delivery SET receiver = :receiver, step = attempts'
            ' WHERE request_id = :request_id'), named)


def receiver_of(url):
    parts = urlsplit(url)
    host = f'[{parts.hostname}]' if ':' in parts.hostname else parts.hostname
    return f'{parts.scheme}://{host}:{parts.port or PORTS[parts.scheme]}'


def downgrade():
    op.drop_table('receiver_circuit')
    op.drop_table('delivery_attempt')
    op.drop_index(op.f('ix_webhook_delivery_receiver_held_until'), 'webhook_delivery')
    op.drop_index(op.f('ix_webhook_delivery_state_receiver_next_attempt_at'), 'webhook_delivery')
    op.create_index(op.f('ix_webhook_delivery_state_next_attempt_at'), 'webhook_delivery', ['state', 'next_attempt_at'], unique=False)
    op.execute("DELETE FROM webhook_delivery WHERE channel = 'email'")
    with op.batch_alter_table('webhook_delivery') as batch:
        batch.drop_constraint(op.f('uq_webhook_delivery_request_id_epoch_event_channel'), type_='unique')
        batch.create_unique_constraint(op.f('uq_webhook_delivery_request_id_epoch_event'), OLD_KEY)
        for column in ('held_until', 'step', 'receiver', 'channel'):
            batch.drop_column(column)
    # Not in a batch: on SQLite that would make the table anew, and drop the images of all jobs.
    op.drop_column('job_request', 'webhook_secret')
