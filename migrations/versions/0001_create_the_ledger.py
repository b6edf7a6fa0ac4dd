"""Create the ledger.

Revision ID: 0001
Create Date: 2026-11-21 05:52:19.309712

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '0001'
down_revision = None
branch_labels = None
depends_on = None


def upgrade():
    op.create_table('job_request',
    sa.Column('request_id', sa.Uuid(), nullable=False),
    sa.Column('status', sa.String(length=16), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('started_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('finished_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('completion_percentage', sa.Integer(), nullable=False),
    sa.Column('error_message', sa.Text(), nullable=True),
    sa.Column('epoch', sa.Integer(), nullable=False),
    sa.Column('source_filename', sa.String(length=255), nullable=False),
    sa.Column('options', sa.JSON(), nullable=False),
    sa.Column('base_url', sa.Text(), nullable=False),
    sa.Column('webhook_url', sa.Text(), nullable=True),
    sa.Column('email', sa.String(length=320), nullable=True),
    sa.Column('owner', sa.String(length=64), nullable=True),
    sa.Column('total_rows', sa.Integer(), nullable=False),
    sa.Column('total_images', sa.Integer(), nullable=False),
    sa.Column('completed_images', sa.Integer(), nullable=False),
    sa.Column('failed_images', sa.Integer(), nullable=False),
    sa.Column('input_bytes', sa.BigInteger(), nullable=False),
    sa.Column('output_bytes', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('request_id', name=op.f('pk_job_request'))
    )
    op.create_index(op.f('ix_job_request_owner_created_at'), 'job_request', ['owner', 'created_at'], unique=False)
    op.create_index(op.f('ix_job_request_status_created_at'), 'job_request', ['status', 'created_at'], unique=False)

    op.create_table('compressed_images',
    sa.Column('image_id', sa.Uuid(), nullable=False),
    sa.Column('request_id', sa.Uuid(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('ordinal', sa.Integer(), nullable=False),
    sa.Column('row_number', sa.Integer(), nullable=False),
    sa.Column('position', sa.Integer(), nullable=False),
    sa.Column('serial_number', sa.Text(), nullable=False),
    sa.Column('product_name', sa.Text(), nullable=False),
    sa.Column('input_url', sa.Text(), nullable=False),
    sa.Column('duplicate_of', sa.Integer(), nullable=True),
    sa.Column('image_url', sa.Text(), nullable=True),
    sa.Column('status', sa.String(length=16), nullable=False),
    sa.Column('outcome', sa.String(length=16), nullable=True),
    sa.Column('error_code', sa.String(length=32), nullable=True),
    sa.Column('error_message', sa.Text(), nullable=True),
    sa.Column('input_bytes', sa.BigInteger(), nullable=True),
    sa.Column('output_bytes', sa.BigInteger(), nullable=True),
    sa.Column('width', sa.Integer(), nullable=True),
    sa.Column('height', sa.Integer(), nullable=True),
    sa.Column('output_format', sa.String(length=8), nullable=True),
    sa.Column('quality', sa.Integer(), nullable=True),
    sa.Column('similarity', sa.Double(), nullable=True),
    sa.Column('storage_key', sa.Text(), nullable=True),
    sa.Column('attempts', sa.Integer(), nullable=False),
    sa.Column('not_before', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['request_id'], ['job_request.request_id'], name=op.f('fk_compressed_images_request_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('image_id', name=op.f('pk_compressed_images')),
    sa.UniqueConstraint('request_id', 'ordinal', name=op.f('uq_compressed_images_request_id_ordinal'))
    )
    op.create_index(op.f('ix_compressed_images_request_id_duplicate_of'), 'compressed_images', ['request_id', 'duplicate_of'], unique=False)
    op.create_index(op.f('ix_compressed_images_request_id_status_ordinal'), 'compressed_images', ['request_id', 'status', 'ordinal'], unique=False)

    op.create_table('job_failure',
    sa.Column('request_id', sa.Uuid(), nullable=False),
    sa.Column('code', sa.String(length=32), nullable=False),
    sa.Column('host', sa.String(length=255), nullable=False),
    sa.Column('images', sa.Integer(), nullable=False),
    sa.Column('example_row', sa.Integer(), nullable=False),
    sa.ForeignKeyConstraint(['request_id'], ['job_request.request_id'], name=op.f('fk_job_failure_request_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('request_id', 'code', 'host', name=op.f('pk_job_failure'))
    )
    op.create_table('job_slice',
    sa.Column('request_id', sa.Uuid(), nullable=False),
    sa.Column('slice_no', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('first_ordinal', sa.Integer(), nullable=False),
    sa.Column('last_ordinal', sa.Integer(), nullable=False),
    sa.Column('state', sa.String(length=8), nullable=False),
    sa.Column('attempt', sa.Integer(), nullable=False),
    sa.Column('crashes', sa.Integer(), nullable=False),
    sa.Column('holder', sa.String(length=80), nullable=True),
    sa.Column('lease_until', sa.DateTime(timezone=True), nullable=True),
    sa.Column('published_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('not_before', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['request_id'], ['job_request.request_id'], name=op.f('fk_job_slice_request_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('request_id', 'slice_no', name=op.f('pk_job_slice'))
    )
    op.create_index(op.f('ix_job_slice_state_lease_until'), 'job_slice', ['state', 'lease_until'], unique=False)
    op.create_index(op.f('ix_job_slice_state_published_at'), 'job_slice', ['state', 'published_at'], unique=False)

    op.create_table('ledger_counter',
    sa.Column('name', sa.String(length=32), nullable=False),
    sa.Column('value', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('name', name=op.f('pk_ledger_counter'))
    )
    op.create_table('webhook_delivery',
    sa.Column('id', sa.String(length=40), nullable=False),
    sa.Column('request_id', sa.Uuid(), nullable=False),
    sa.Column('epoch', sa.Integer(), nullable=False),
    sa.Column('event', sa.String(length=32), nullable=False),
    sa.Column('payload', sa.Text(), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('attempts', sa.Integer(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('next_attempt_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('delivered_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('last_response_status', sa.Integer(), nullable=True),
    sa.Column('last_error', sa.Text(), nullable=True),
    sa.ForeignKeyConstraint(['request_id'], ['job_request.request_id'], name=op.f('fk_webhook_delivery_request_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_webhook_delivery')),
    sa.UniqueConstraint('request_id', 'epoch', 'event', name=op.f('uq_webhook_delivery_request_id_epoch_event'))
    )
    op.create_index(op.f('ix_webhook_delivery_state_next_attempt_at'), 'webhook_delivery', ['state', 'next_attempt_at'], unique=False)



def downgrade():
    op.drop_index(op.f('ix_webhook_delivery_state_next_attempt_at'), 'webhook_delivery')

    op.drop_table('webhook_delivery')
    op.drop_table('ledger_counter')
    op.drop_index(op.f('ix_job_slice_state_published_at'), 'job_slice')
    op.drop_index(op.f('ix_job_slice_state_lease_until'), 'job_slice')

    op.drop_table('job_slice')
    op.drop_table('job_failure')
    op.drop_index(op.f('ix_compressed_images_request_id_status_ordinal'), 'compressed_images')
    op.drop_index(op.f('ix_compressed_images_request_id_duplicate_of'), 'compressed_images')

    op.drop_table('compressed_images')
    op.drop_index(op.f('ix_job_request_status_created_at'), 'job_request')
    op.drop_index(op.f('ix_job_request_owner_created_at'), 'job_request')

    op.drop_table('job_request')
